"""A stand-in for flyteadmin and its cluster, for tests with the real flytekit: no package registry
has flyteadmin, flyte-binary or k3s.

By hand: `python -m tests.flyte_admin --port 30080` prints the variables to set, and at the end
what it did not know. In tests: `FlyteAdmin` as a context manager, or the fixtures of fixtures.py.

It speaks flyteidl's genuine gRPC contract, so that the genuine client (`FlyteRemote`) registers,
executes, follows, terminates and lists with it, and it runs the genuine entry points of Flyte's
images (`pyflyte-execute`, `pyflyte-fast-execute`) as processes, forked from a warm one where that
is asked for. An RPC is one function, in the table OPERATIONS of the module of its noun. Whatever
is not known here (an RPC, a filter, an order, a kind of node) is refused with UNIMPLEMENTED, or
fails the execution, and is noted in `FlyteAdmin.unknown`.

Tasks without a container (`FlyteAdmin.plant_task`) have no program: their executions end as the
test says.

Read in the sources of flyteadmin and flytepropeller, and done likewise:

- names (63 characters, unique for ever), labels, inputs and their types; the codes of refusals;
- a task that is executed directly needs all its inputs, and its timeout does not count: the
  workflow that admin makes around it has a node without one;
- a node of a workflow whose attempt is late is retried, and fails with code Timeout when that is
  late too, because a node has twice the time of an attempt; the phase TIMED_OUT is never set
  (`FlyteAdmin.time_out` sets it, because clients must be ready for it);
- errors that may be retried end as "RetriesExhausted|code"; errors of the system, such as a killed
  program, are retried three times, whatever the task allows;
- aborting is a phase of its own until the program has ended, and may be asked for again;
- labels and tags are rows of one table, lists have no order unless it is asked for, full pages
  have a token, errors are cut in lists (see filters.py).

Assumed: a program that is killed counts as a machine that was taken away, and any other one that
says nothing as a failed pod; an upload is checked by its MD5; uploaded code is unpacked where the
program runs, whatever folder of the image it was registered for.

Not modelled: Kubernetes, images, resources, priorities; caching, so that `overwrite_cache` is kept
and without effect, as are interruptible, clusters, security contexts, raw output prefixes and
max_parallelism; nodes that are no tasks; dynamic and map tasks; literals that are too large for a
message; users other than the one client; admin's database.
"""

from tests.flyte_admin.admin import FlyteAdmin as FlyteAdmin
from tests.flyte_admin.programs import Zygote as Zygote
