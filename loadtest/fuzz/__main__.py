"""python -m loadtest.fuzz."""

from loadtest.fuzz.cli import main

if __name__ == "__main__":
    main()
