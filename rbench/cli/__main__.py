"""`python -m rbench.cli` is the `rbench` command."""

from rbench.cli import main

if __name__ == "__main__":
    main()
