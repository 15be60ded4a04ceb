"""`python -m drugpred` is the `drugpred` command."""

from drugpred.cli import main

if __name__ == "__main__":
    main()
