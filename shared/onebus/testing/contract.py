"""What every connector must keep, as tests that are inherited: a new one is tested at once.

In this project `tests/contract` finds every connector by itself; each needs a `Subject` in
`tests/contract/subjects/{platform}.py`. Elsewhere:

    class TestParrot(ConnectorContract):
        platform = "parrot"
        subject = ParrotSubject
        docs = Path("README.md")      # where the row of its capabilities is
        golden = Path("tests/golden")

Declared is what is implemented, goldens hold both ways, each update is one entry of the log, no
forgery is believed, the platform is called at its pace and nothing twice, no secret is shown.
"""

from onebus.testing.calling import CallingContract


class ConnectorContract(CallingContract):
    """All of it."""
