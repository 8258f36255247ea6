"""The base of every test here: a deadline, a host for the class, and nothing left over between tests.

`EngineCase` gives the tests of a class one host; each test starts without containers, networks and volumes of another. The
engine must be alive and must not have been replaced when a test ends; a test that stops it on purpose uses `OwnHostCase`.
`SwarmCase` and `OwnClusterCase` are the same for a swarm of several hosts.
"""

import json
import re
import signal
import unittest

import cluster
import lab
from talk import SLOW

DEADLINE = 90  # seconds for one test; override `deadline` in a class


class DeadlineExceeded(BaseException):  # not an Exception: no test may swallow it
    pass


def _expired(*_):
    raise DeadlineExceeded()


class _Case(unittest.TestCase):
    deadline = DEADLINE
    maxDiff = None
    longMessage = True

    def run(self, result=None):
        signal.signal(signal.SIGALRM, _expired)
        return super().run(result)

    def _callSetUp(self):
        signal.setitimer(signal.ITIMER_REAL, self.deadline * SLOW)
        super()._callSetUp()

    def _callTestMethod(self, method):
        try:
            super()._callTestMethod(method)
        except DeadlineExceeded:
            self.fail(f"not finished after {self.deadline * SLOW:g} s")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    # --- assertions in the words of the CLI
    def assertCode(self, result, code):
        self.assertEqual(result.code, code, f"exit code of {result}")

    def assertFails(self, result, *texts, code=1):
        """The command failed with this code and said all of these."""
        self.assertEqual(result.code, code, f"exit code of {result}")
        for text in texts:
            self.assertIn(text, result.err, f"stderr of {result}")

    def assertTable(self, result, *columns):
        """The first line holds these column heads in this order, and nothing else."""
        self.assertEqual(re.split(r"\s{2,}", result.lines[0].strip()), list(columns), str(result))


    def needs(self, result, *names):
        """Skips the test when the engine refused this by name: what is not there yet must be said, not ignored."""
        if refused_by_name(result, *names):
            self.skipTest("refused: " + result.err.strip().splitlines()[0][:160])
        return result


class OwnHostCase(_Case):
    """A host for each test."""
    images = ("alpine",)
    engine_flags = ()

    def setUp(self):
        self.host = lab.Host(self.images, self.engine_flags)
        self.addCleanup(self.host.close)
        self.host.__enter__()
        self.docker = self.host.docker


class EngineCase(_Case):
    """One host for the class."""
    images = ("alpine",)
    engine_flags = ()

    @classmethod
    def setUpClass(cls):
        cls.host = lab.Host(cls.images, cls.engine_flags)
        cls.addClassCleanup(cls.host.close)
        cls.host.__enter__()

    def setUp(self):
        self.docker = self.host.docker
        self._engine_at_start = self.host.engine_pid
        self.addCleanup(self._leave_nothing)

    def _leave_nothing(self):
        if not self.host.engine_is_alive():
            log = self.host.engine_log(40)
            self.host.start()
            self.host.remove_everything()
            self.fail("the engine died during this test; its log ends with:\n" + log)
        self.host.remove_everything()
        left = self.docker("ps", "-aq").out.split()
        self.assertEqual(left, [], "containers that could not be removed after the test")


class _ClusterCase(_Case):
    deadline = 240
    managers, workers = 3, 2
    images = ("alpine", "hostname")  # on node1 only
    engine_flags = ()

    @classmethod
    def make_cluster(cls):
        return cluster.Cluster(cls.managers, cls.workers, cls.images, cls.engine_flags)

    def create(self, name, *options, image="hostname", command=(), node=1):
        """A service, not waited for. Its image is one that ends on SIGTERM, so that nothing waits for a grace period."""
        return self.docker("service", "create", "-d", "--name", name, *options, image, *command, node=node).check().line

    def inspect(self, service, kind="service", node=1):
        return json.loads(self.docker(kind, "inspect", service, node=node).check().out)[0]


class SwarmCase(_ClusterCase):
    """One swarm for the class: three managers and two workers, or what the class says."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.make_cluster()
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.__enter__()
        cls.cluster.form_swarm()

    def setUp(self):
        self.docker = self.cluster.docker
        self._engines_at_start = [host.engine_pid for host in self.cluster.hosts]
        self.addCleanup(self._leave_nothing)

    def _leave_nothing(self):
        dead = [host.name for host in self.cluster.hosts if not host.engine_is_alive()]
        if dead:
            logs = "\n".join(f"--- {host.name}\n{host.engine_log(40)}" for host in self.cluster.hosts if host.name in dead)
            for host in self.cluster.hosts:
                if host.name in dead:
                    host.start()
            self.cluster.wait_manager(1)
            self.cluster.remove_everything()
            self.fail(f"the engines of {dead} died during this test:\n{logs}")
        self.assertEqual([host.engine_pid for host in self.cluster.hosts], self._engines_at_start, "a test that restarts engines uses OwnClusterCase")
        self.cluster.remove_everything()


class OwnClusterCase(_ClusterCase):
    """A cluster for each test, as a swarm unless `formed` is false."""
    formed = True

    def setUp(self):
        self.cluster = self.make_cluster()
        self.addCleanup(self.cluster.close)
        self.cluster.__enter__()
        self.docker = self.cluster.docker
        if self.formed:
            self.cluster.form_swarm()


REFUSAL = re.compile(r"not (yet )?(implemented|supported|available|provided)|unsupported|does not (yet )?(support|have|provide)|no support|install the package", re.I)


def refused_by_name(result, *names):
    """Whether the engine said that it has no such thing, and named it. An option that is neither honoured nor refused is a bug."""
    return result.code != 0 and bool(REFUSAL.search(result.err)) and any(name.lower() in result.err.lower() for name in names)
