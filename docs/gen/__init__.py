"""What pages of the documentation say of the code, written by cog: `make docs` writes it again, CI checks it."""
