"""Live streams, whichever exchange's protocol they are sent by.

feed         the port to where messages come from: `captures` (recorded connections) or `simulated` (the market of now)
hub          hands every message to the connections that have subscribed to it, and shows it to the faults
server       a connection from its request to its end
connection   one client: what it has subscribed to, and what is on its way to it
"""
