"""`latentbench` and `python -m latentbench`."""

import sys

from latentbench.cli.terminal import prepare_terminal
from latentbench.errors import UserError
from latentbench.files import cannot_store


def main() -> None:
    """Run the command line; a user's mistake is one message and exit code 2."""
    import typer

    from latentbench.cli.app import app

    prepare_terminal()
    try:
        code = app(prog_name="latentbench", standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code)
    except UserError as error:
        _refuse(str(error))
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except Exception as error:
        if cannot_store(error):
            _refuse(f"{error}. What is stored is whole; the same command continues once the folder can be written")
        if isinstance(error, OSError) and error.filename is not None:
            _refuse(f"{error.filename}: {error.strerror}")
        if isinstance(error, UnicodeEncodeError) and not error.object.isprintable():  # bytes of an argument, on their way into a table
            _refuse(f"{error.object!r} is not UTF-8")
        # What typer finds wrong with flags and arguments; the class has moved between its versions, the method has not.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        _refuse(message())


def _refuse(message: str) -> None:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
