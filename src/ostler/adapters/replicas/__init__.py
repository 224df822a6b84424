"""What servers of one database that stand by are sent by the one that holds it, so that they can answer reads.

The holder publishes every change of what reading tools show; the others keep a mirror of it.
"""
