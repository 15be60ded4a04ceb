"""A client of the service, over HTTP or gRPC.

::

    with Client("grpc://localhost:3001") as client:
        client.predict(age=25, gender="F", ...).risks

It needs `pip install -e '.[client]'` in the checkout, and `'.[stream]'` for streams. From the project it imports only
the codebook, the schemas and the gRPC messages.
"""

from drugpred.errors import needs

with needs("client"):
    from drugpred.client.calls import Measure, Model
    from drugpred.client.clients import AsyncClient, Client

__all__ = ["AsyncClient", "Client", "Measure", "Model"]
