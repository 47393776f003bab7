from tests.acceptance.harness import *
from remediator.demo.fleet.plan import *
async def test_it(tmp_path, embedded_broker):
    import time
    t=time.monotonic()
    plan=Plan(Failure("ConnectionResetError","[Errno 104] Connection reset by peer"),heals_after_clears=1)
    bad=Plan(Failure("KeyError","'customer'"))
    async with site(tmp_path, embedded_broker.bootstrap, plan_for=lambda r,i: plan if r.dag_id=="orders" else bad) as place:
        for d in ("orders","broken"): place.state.add_dag(DagSpec(d,(TaskSpec("load"),)))
        async with DaemonProcess(place.config()) as daemon:
            print("up", time.monotonic()-t)
            place.world.run_dag("orders","r1",clock()); place.world.run_dag("broken","r1",clock())
            await eventually(lambda: place.clears)
            await eventually(lambda: place.pages)
            print(time.monotonic()-t)
            await daemon.settled(8)
            print(await daemon.status(), await daemon.incidents())
            print(place.receiver.counters())
            assert await daemon.stop()==0
            print(daemon.text)
            print(time.monotonic()-t)
            assert 0
