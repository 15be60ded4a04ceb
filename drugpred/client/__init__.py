"""A client of the service, over HTTP and gRPC alike.

::

    with Client("grpc://localhost:3001") as client:
        client.predict(age=25, gender="F", ...).risks

It needs `pip install -e '.[client]'` in the checkout, streams `'.[stream]'`, and of the project only the vocabulary,
the types and the gRPC contract.
"""

from drugpred.errors import needs

with needs("client"):
    from drugpred.client.calls import Measure, Model
    from drugpred.client.clients import AsyncClient, Client

__all__ = ["AsyncClient", "Client", "Measure", "Model"]
