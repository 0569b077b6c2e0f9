"""`latentbench` and `python -m latentbench`."""

import sys

from latentbench.errors import UserError


def main() -> None:
    """Run the command line; a mistake of the user's is one message and exit code 2."""
    from latentbench.cli import app

    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of a pipe has gone: nothing is left to say
        sys.exit(0)


if __name__ == "__main__":
    main()
