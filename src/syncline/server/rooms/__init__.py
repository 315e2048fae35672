"""What a gateway may ask of the roles behind it: one interface for each room, whoever carries the question.

In one process a promise is kept by the room itself. `between` processes one end asks and the other answers, over any
`ports.carrier.Carrier`, with messages that follow from the promise's own annotations.
"""
