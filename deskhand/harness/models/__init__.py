"""What differs between model vendors: how a conversation is written and read, and how it is sent."""
