"""What all services speak: the model, NATS, and the contract of a connector.

Knows no platform and no OneBot. `shared/README.md` follows a message through these files.
"""

__version__ = "0.1.0"
