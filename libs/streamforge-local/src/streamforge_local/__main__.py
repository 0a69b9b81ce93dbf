"""`python -m streamforge_local` is the command `streamforge`."""

from streamforge_local.cli import main

if __name__ == "__main__":
    main()
