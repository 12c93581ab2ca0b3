"""`python -m unlearnkit`, which launchers want."""

from unlearnkit.cli import main

if __name__ == "__main__":
    main()
