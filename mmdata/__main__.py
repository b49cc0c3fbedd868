"""`python -m mmdata`: the command line, wherever the console script is not on the path."""

from mmdata.cli import main

if __name__ == "__main__":
    main()
