completion
fish

