"""Who comes over the network: tokens at rest, access tokens of authorization servers, and the audit log.

Knows files, keys and signatures; what a principal may do is decided in the faces.
"""
