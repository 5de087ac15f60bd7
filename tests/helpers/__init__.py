"""What several tests share; nothing in it is a test.

| module | what it holds |
|---|---|
| `autodiff` | drawn networks, and their derivatives by PyTorch or JAX alone |
| `counting`, `lagging` | backends that count their operations, and that return before their work is done |
| `faults`, `odd_inputs` | runs and commands with faults in them, also for `benchmarks/faults.py` |
| `plugin_folder` | plugins that only a test's own processes find |
| `fault_plugin`, `cluster_plugin`, `toy_experiment` | such plugins |
| `command`, `training` | the command line; a few steps of a method, and the same by the reference |
| `hungry` | a method that takes as much memory as it is told |
| `missed` | what the equivalence gate misses of something that is wrong |
| `registered` | plugins that are registered in this process, and backends that may not be here |
| `tuning` | tunes without processes |
"""
