"""Send generated bad requests to a running service: python loadtest/hostile --http URL --grpc HOST:PORT.

Same seed, same requests. Wrong is an answer of 500 or above (but 503 with Retry-After), one of another shape than all
errors have, one that repeats what was sent, and none within a second; also a worker that ended, that grew, or that
answers otherwise than before. Prints how many inputs of each family were answered how, and what was wrong; then the
exit code is 1. --only FAMILY --index N sends one of them again.

With --key nine of ten come with that API key, the others with none, or with what is wrong with keys; wrong is then too
who was let in without it. No answer, log or metric may tell a key.
"""

from trying import main

if __name__ == "__main__":
    main()
