"""`python -m audioroto` is `audioroto`."""

from audioroto.cli.main import main

if __name__ == "__main__":
    main()
