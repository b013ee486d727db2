"""Golden files: every byte that clients are sent, in scenarios that are the same each time.

``files/`` has one text per scenario, in the order of what happens. A line is

- ``# …``: what the script does: publishes, lets time pass, takes Redis away.
- ``> a …``: what client ``a`` does or sends.
- ``a …``: a frame that client ``a`` is sent. The text of a message is there byte for byte.

What one step sends to several clients is listed client by client. The order of frames to one
client is the order on its connection. ``writes/`` has, of the same scenarios, how many frames each
write to a client had: that may change with good reason, and is no part of the protocol.

The server is the real one, from HTTP parser to engine, as :class:`bookcast.Server` composes it; on
the Redis scenarios Redis is real as well. Only what is around it is not: the clocks (``clock``), the
event loop's waiting (``loop``), and the sockets of clients (``recorder``). Clocks and secrets are
replaced before bookcast is imported, so the recorder is a process of its own.

Values that can't be injected are named in the order in which they appear: session tokens (``S1``),
epochs that Redis begins, which hold Redis's time (``E1``), and epochs in memory (``m-1``).

The files guard a rebuild: a change of code that should change nothing on the wire must leave them as
they are. Renew them (``python -m tests.golden --renew``) only in the commit that changes, on purpose
and in the protocol's documents, what clients are sent; the difference of the files then shows all
of that change, and is reviewed line by line. Never renew them to make a test pass.
"""
