"""Golden files: every byte that clients are sent, in scenarios that are the same each time.

``files/`` has one text per scenario, in the order of what happens. A line is

- ``# …``: what the script does: publishes, lets time pass, takes Redis away.
- ``> a …``: what client ``a`` does or sends.
- ``a …``: a frame that client ``a`` is sent. The text of a message is there byte for byte.

What one step sends to several clients is listed client by client. The order of frames to one
client is the order on its connection. ``writes/`` has, of the same scenarios, how many frames each
write to a client had: that may change with good reason, and is no part of the protocol.

The server is the real one, from HTTP parser to engine, as :class:`bookcast.Server` composes it; in
the scenarios that have a Redis, that is real as well. Only what is around the server is not: the
clocks, secrets and chance (``clock``), the event loop's waiting (``loop``), the clients' sockets
(``client``) and the feed (``world``, which alone knows how a node is made). Clocks and secrets are
replaced before bookcast is imported, so the recorder is a process of its own.

These values are named in the order in which they appear, since they aren't the same each time or
for each way to make them: session tokens (``S1``), epochs in memory (``m-1``), epochs that Redis
begins, which hold Redis's time (``E1``; topics that begin in one round of calls share one), and
Redis's port (``port-1``). The payload of a ping isn't shown.

The files guard a rebuild: a change of code that is to change nothing on the wire must leave them as
they are. Renew them (``python -m tests.golden --renew``) only in the commit that changes, on
purpose and in the protocol's documents, what clients are sent. The difference of the files then
shows all of that change, and is reviewed line by line. Never renew them to make a test pass.
"""
