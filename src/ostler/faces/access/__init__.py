"""What a principal may do and see: the application behind a guard.

Every tool, resource, prompt and subscription is handed an application and has no other way to the engine. Those of a
principal get a `GuardedApplication`: what is not allowed there can be done by none of them, new ones included.
"""
