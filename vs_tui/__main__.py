"""`python -m vs_tui` is `vs-tui`."""

from vs_tui.cli.main import entry

if __name__ == "__main__":
    entry()
