"""Bad suites, flags and hostile values: one message that names the thing, what was found and what is allowed; exit code 2; nothing written."""

import pytest

HEAD = "name: test\nseeds: [1, 2]\nevaluations: [elbo]\n"
DEFAULTS = "defaults: {encoder: linear, decoder: linear, latent_dim: 4, training: {steps: 10, batch_size: 50}}\n"
SWEEPS = "sweeps:\n  - {family: [poisson, gaussian], estimator: mc, dataset: digits, beta: [1, 2]}\n"
SUITE = HEAD + DEFAULTS + SWEEPS
MORE = HEAD + DEFAULTS  # five lines less one: what follows is on line 5
LONG = "x" * 300


def with_setting(setting):
    """The suite with a setting of its sweep, in line 6."""
    return SUITE.replace("dataset: digits,", f"dataset: digits, {setting},")


def with_entry(entry):
    """The suite with an entry of its own, in line 4."""
    return HEAD + entry + "\n" + DEFAULTS + SWEEPS


SUITES = {
    # YAML 1.2: texts that YAML 1.1 reads as numbers, booleans or dates
    "base-60 number": (with_setting("latent_dim: 1:30"), "suite.yaml:6: latent_dim: input should be a valid integer", "got '1:30'"),
    "on": (with_setting("compile: on"), "suite.yaml:6: compile: expected a boolean, true or false, got 'on'"),
    "no": (with_setting("encoder_options: {bias: no}"), "suite.yaml:6: encoder_options.bias: expected a boolean", "got 'no'"),
    "yes as a number": (with_setting("latent_dim: yes"), "suite.yaml:6: latent_dim: input should be a valid integer", "got 'yes'"),
    "date": (with_setting("latent_dim: 2024-01-01"), "suite.yaml:6: latent_dim: input should be a valid integer", "got '2024-01-01'"),
    "impossible date": (with_setting("latent_dim: 2024-13-45"), "suite.yaml:6: latent_dim: ", "got '2024-13-45'"),
    "underscores": (with_setting("latent_dim: 1_000"), "suite.yaml:6: latent_dim: expected a number, got '1_000'"),
    "python tag": ("name: !!python/object:os.system x\n", "suite.yaml:1: not valid YAML: unknown tag", "os.system"),
    "timestamp tag": ("name: !!timestamp 2024-01-01\n", "suite.yaml:1: not valid YAML: unknown tag"),
    "set tag": ("name: x\ndefaults: !!set {a}\n", "suite.yaml:2: not valid YAML: unknown tag"),
    "tag of another value": ("name: !!int 1:30\n", "suite.yaml:1: not valid YAML: '1:30' is not of the tag"),
    # YAML that is none, or too much
    "duplicate key": ("name: x\nname: y\n", "suite.yaml:2: not valid YAML: duplicate key 'name'"),
    "mapping as a key": ("? {a: b}\n: 3\n", "suite.yaml:1: not valid YAML: a key is a text"),
    "merges a number": ("name: x\n<<: 3\n", "suite.yaml:2: not valid YAML: `<<` merges a mapping or a list of mappings"),
    "merges itself": ("a: &a\n  <<: *a\n", "suite.yaml: not valid YAML: it is nested too deeply, or without end"),
    "unknown alias": ("name: *x\n", "suite.yaml:1: not valid YAML: found undefined alias"),
    "two documents": ("name: x\n---\nname: y\n", "suite.yaml:2: not valid YAML: but found another document"),
    "control character": ("seeds: [1]\nname: 'a\x00b'\n", "suite.yaml:2: not valid YAML: the character '\\x00' is not allowed"),
    "alias of itself": ("name: x\ndefaults: &a {b: *a}\n", "suite.yaml: not valid YAML: it is nested too deeply, or without end"),
    "5,000 brackets": (f"name: {'[' * 5000}\n", "suite.yaml: not valid YAML: it is nested too deeply"),
    "5,000 digits": (with_setting(f"latent_dim: {'9' * 5000}"), "suite.yaml:6: not valid YAML: a number of more than 100 digits"),
    "5,000 letters": (with_setting(f"latent_dim: {'a' * 5000}"), "suite.yaml:6: latent_dim: input should be a valid integer", "aaa…"),
    "aliases of aliases": (
        "name: x\nsweeps:\n  - &a0 {family: x}\n" + "".join(f"  - &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)),
        "not valid YAML: more than 100000 values, with aliases written out",
    ),
    "merges of merges": (
        "name: x\na0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 12)),
        "not valid YAML: more than 100000 values, with aliases written out",
    ),
    # names and lists of the suite
    "long name": (SUITE.replace("name: test", f"name: {'n' * 230}"), "suite.yaml:1: name: a name is 1 to 100 printable characters, got 'nnn"),
    "line break in a name": (SUITE.replace("name: test", 'name: "a\\nb"'), "suite.yaml:1: name: a name is 1 to 100 printable characters"),
    "no name": (SUITE.replace("name: test", 'name: ""'), "suite.yaml:1: name: a name is 1 to 100 printable characters, got ''"),
    "number as a name": (SUITE.replace("name: test", "name: 3"), "suite.yaml:1: name: expected a text, got 3"),
    "a seed twice": (SUITE.replace("[1, 2]", "[1, 1]", 1), "suite.yaml:2: seeds: 1 is given twice, got [1, 1]"),
    "true as a seed": (SUITE.replace("[1, 2]", "[true]", 1), "suite.yaml:2: seeds: expected a number; true and false are none"),
    "seeds from the end": (SUITE.replace("[1, 2]", "5-1", 1), "suite.yaml:2: seeds: expected numbers like 0-7 or 0,2, got '5-1'"),
    "a seed twice in a text": (SUITE.replace("[1, 2]", "'1-3,2'", 1), "suite.yaml:2: seeds: 2 is given twice, got '1-3,2'"),
    "too many seeds": (SUITE.replace("[1, 2]", "0-99999", 1), "suite.yaml:2: seeds: more than 10000 numbers, got '0-99999'"),
    "true as a seed of a sweep": (with_setting("seed: true"), "suite.yaml:6: seed: expected a number; true and false are none, got true"),
    "negative seed": (SUITE.replace("[1, 2]", "[-1]", 1), "suite.yaml:2: seeds.0: input should be greater than or equal to 0, got -1"),
    "evaluation's unknown option": (
        SUITE.replace("[elbo]", "[{elbo: {nope: 1}}]"),
        "suite.yaml:3: evaluation 'elbo': unknown key 'nope'; known: split",
    ),
    "engine without options": (
        with_entry("engine: {name: test_inline, nope: 1}"),
        "suite.yaml:4: engine 'test_inline': unknown key 'nope'; it has no options",
    ),
    "evaluation option": (
        SUITE.replace("[elbo]", "[{active_units: {treshold: 1}}]"),
        "suite.yaml:3: ",
        "did you mean 'threshold'",
        "known: split, threshold",
    ),
    "true as an evaluation's option": (
        SUITE.replace("[elbo]", "[{active_units: {threshold: true}}]"),
        "suite.yaml:3: evaluation 'active_units': threshold: expected a number; true and false are none, got true",
    ),
    "evaluation as a number": (SUITE.replace("[elbo]", "[3]"), "suite.yaml:3: evaluations.0: an evaluation is a name, or `name: {options}`, got 3"),
    "evaluation's options as a text": (SUITE.replace("[elbo]", "[elbo: x]"), "suite.yaml:3: evaluations.0: an evaluation is a name, or"),
    "evaluations as a text": (SUITE.replace("[elbo]", "elbo"), "suite.yaml:3: evaluations: expected a list, got 'elbo'"),
    # included files
    "includes its folder": (with_entry("include: [.]"), "suite.yaml:4: suite file ", " is a folder"),
    "includes nothing": (with_entry("include: [suit.yaml]"), "suite.yaml:4: suite file ", "suit.yaml does not exist (did you mean 'suite.yaml'?)"),
    "includes a long path": (with_entry(f"include: [{LONG}]"), "suite.yaml:4: suite file ", "does not exist"),
    # leaderboard and expect
    "leaderboard key": (
        with_entry("leaderboard: {metric: nelbo, rows: [family], colums: [beta]}"),
        "suite.yaml:4: unknown key",
        "did you mean 'columns'",
    ),
    "leaderboard without rows": (with_entry("leaderboard: {metric: nelbo}"), "suite.yaml:4: 'leaderboard.rows' is missing"),
    "leaderboard's row": (
        with_entry("leaderboard: {metric: nelbo, rows: [famly]}"),
        "suite.yaml:4: unknown setting 'famly' (did you mean 'family'?)",
    ),
    "leaderboard's column": (
        with_entry("leaderboard: {metric: nelbo, rows: [family], columns: [beta, datset]}"),
        "suite.yaml:4: ",
        "did you mean 'dataset'",
    ),
    "leaderboard's option": (
        with_entry("leaderboard: {metric: nelbo, rows: [encoder_options.biass]}"),
        "suite.yaml:4: unknown option 'encoder_options.biass' (did you mean 'bias'?)",
    ),
    "leaderboard of options": (
        with_entry("leaderboard: {metric: nelbo, rows: [training]}"),
        "suite.yaml:4: 'training' holds settings; name one of them",
    ),
    "misspelt metric": (with_entry("leaderboard: {metric: nelboo, rows: [family]}"), "suite.yaml:4: metric 'nelboo'", "did you mean 'nelbo'"),
    "metric of another evaluation": (
        with_entry("leaderboard: {metric: knn_accuracy, rows: [family]}"),
        "suite.yaml:4: metric 'knn_accuracy' is measured by knn; the suite asks for elbo",
    ),
    "metric of no evaluation": (
        with_entry("leaderboard: {metric: nelbo, rows: [family]}").replace("[elbo]", "[]"),
        "suite.yaml:4: metric 'nelbo': the suite asks for no evaluation",
    ),
    "index": (
        with_entry("leaderboard: {metric: nelbo, rows: [family], index: first}"),
        "suite.yaml:4: leaderboard.index: ",
        "valid number",
        "'first'",
    ),
    "true as an index": (with_entry("leaderboard: {metric: nelbo, rows: [family], index: true}"), "leaderboard.index: expected a number", "got true"),
    "expect a number": (with_entry("expect: 3"), "suite.yaml:4: expect: expected a folder and a table, as in published/table5", "got 3"),
    "expect a name": (with_entry("expect: table5"), "suite.yaml:4: expect: expected a folder and a table", "got 'table5'"),
    "expect an unknown table": (
        with_entry("expect: [published/tabel5]"),
        "suite.yaml:4: expect: unknown table of results/published 'tabel5' (did you mean 'table5'?); known: seeds, table5",
    ),
    # settings
    "true as latent_dim": (with_setting("latent_dim: true"), "suite.yaml:6: latent_dim: expected a number; true and false are none, got true"),
    "true as beta": (SUITE.replace("beta: [1, 2]", "beta: [true]"), "suite.yaml:6: beta: expected a number", "got true"),
    "true as a training setting": (with_setting("training: {learning_rate: true}"), "suite.yaml:6: training.learning_rate: expected a number"),
    "true as an option": (with_setting("encoder_options: {init_std: true}"), "suite.yaml:6: encoder_options.init_std: expected a number", "'linear'"),
    "true as a duration": (
        with_setting("training: {warmup: true}"),
        "suite.yaml:6: training.warmup: expected a number; true and false are none, got true",
    ),
    "mapping as a duration": (
        with_setting("training: {warmup: {a: 1}}"),
        "suite.yaml:6: training.warmup: a duration is a share of the run",
        '{"a": 1}',
    ),
    "number as a boolean": (with_setting("compile: 1"), "suite.yaml:6: compile: expected a boolean, true or false, got 1"),
    "mapping as a family": (SUITE.replace("[poisson, gaussian]", "{a: b}"), 'suite.yaml:6: family: expected a name, got {"a": "b"}'),
    "mapping as a protocol": (with_setting("protocol: {a: b}"), 'suite.yaml:6: protocol: unknown protocol {"a": "b"} for data set'),
    "endless training": (with_setting("training: {steps: 1e300}"), "suite.yaml:6: training.steps: ", "1e+300"),
    "text for options": (with_setting("family_options: x"), "suite.yaml:6: 'family_options' holds settings, got 'x'"),
    "setting twice": (with_setting("training.steps: 3, training: {steps: 4}"), "suite.yaml:6: 'training.steps' is given twice"),
    "override's value": (
        MORE + "sweeps:\n  - family: gaussian\n    estimator: mc\n    dataset: digits\n    beta: [1, 2]\n    overrides:\n"
        "      - match: {beta: 2}\n        set: {training: {learning_rate: fast}}\n",
        "suite.yaml:12: training.learning_rate: input should be a valid number",
        "got 'fast'",
    ),
    "override's value over the sweep's": (
        MORE + "sweeps:\n  - family: gaussian\n    estimator: mc\n    dataset: digits\n    latent_dim: 5\n    beta: [1, 2]\n    overrides:\n"
        "      - match: {beta: 2}\n        set:\n          latent_dim: many\n",
        "suite.yaml:14: latent_dim: input should be a valid integer",
    ),
    "unread override": (
        MORE + "sweeps:\n  - family: gaussian\n    estimator: mc\n    dataset: digits\n    beta: [1, 2]\n    overrides:\n"
        "      - match: {beta: 2}\n        set: {training: {temperature_stop: 0.1}}\n",
        "suite.yaml:12: no run of the sweep reads 'training.temperature_stop'",
    ),
    "true in an exclusion": (with_setting("exclude: [{beta: true}]"), "suite.yaml:6: exclude matches no run of the sweep"),
    "exclusions as a mapping": (with_setting("exclude: {beta: 1}"), "suite.yaml:6: 'exclude' is a list of mappings, got {\"beta\": 1}"),
    "too many combinations": (
        with_setting("latent_dim: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], limit_data: [.1, .2, .3, .4, .5, .6, .7, .8, .9, 1]").replace(
            "[1, 2]", "0-999", 1
        ),
        "suite.yaml:6: the sweep has more than 100000 combinations",
    ),
    "engine's option": (with_entry("engine: {name: local, cpus: true}"), "suite.yaml:4: engine 'local': cpus: expected a number", "got true"),
    "engine as a number": (with_entry("engine: 3"), "suite.yaml:4: engine: ", "got 3"),
}

RUN = ("run", "{suite}")
FLAGS = {
    # values of --set
    "impossible date": ((*RUN, "--set", "latent_dim=2024-13-45"), "--set latent_dim=2024-13-45: latent_dim: input should be a valid integer"),
    "5,000 digits": ((*RUN, "--set", f"latent_dim={'9' * 5000}"), "--set latent_dim=999", "a number of more than 100 digits"),
    "5,000 brackets": ((*RUN, "--set", f"latent_dim={'[' * 5000}"), "--set latent_dim=[[[", "it is nested too deeply"),
    "brackets of --only": ((*RUN, "--only", f"beta={'[' * 5000}"), "--only beta=[[[", "it is nested too deeply"),
    "bad YAML": ((*RUN, "--set", "beta={"), "--set beta={: cannot read the value '{'"),
    "bad YAML of --only": ((*RUN, "--only", "beta=[1,2]"), "--only beta=[1,2]: cannot read the value '[1'"),
    "bad value": ((*RUN, "--set", "beta=much"), "--set beta=much: beta: input should be a valid number", "got 'much'"),
    "bad value of a swept setting": (
        (*RUN, "--set", "family=posson"),
        "--set family=posson: family: unknown family 'posson' (did you mean 'poisson'?)",
    ),
    "bad value of a training setting": ((*RUN, "--set", "training.steps=none"), "--set training.steps=none: training.steps: "),
    "two lengths": (
        (*RUN, "--set", "training.steps=3", "--set", "training.epochs=3"),
        "--set training.steps=3: training: give either epochs or steps",
    ),
    "warm-up": ((*RUN, "--set", "training.warmup=50 steps"), "--set training.warmup=50 steps: training: a warm-up of 50 steps takes the whole run"),
    "true as a number": ((*RUN, "--set", "latent_dim=true"), "--set latent_dim=true: latent_dim: expected a number"),
    "true as a seed": ((*RUN, "--set", "seed=true"), "--set seed=true: seed: expected a number"),
    "infinity": ((*RUN, "--set", "beta=.inf"), "--set beta=inf: beta: input should be a finite number"),
    "mapping for options": ((*RUN, "--set", "family_options={a: 1}"), "--set family_options: 'family_options' holds settings; name one of them"),
    "mapping for training": (
        (*RUN, "--set", "training={steps: 1}"),
        "--set training: 'training' holds settings; name one of them, as in training.epochs",
    ),
    "list": ((*RUN, "--set", "beta=[1, 2]"), "--set beta=[1, 2]: expected one value"),
    "nothing": ((*RUN, "--set", "beta="), "--set beta=: expected key=value"),
    "long key": ((*RUN, "--set", f"{'k' * 5000}=1"), "--set kkk", "unknown setting 'kkk"),
    "unknown option": ((*RUN, "--set", "encoder_options.biass=true"), "unknown option 'encoder_options.biass' (did you mean 'bias'?)"),
    "part that does not apply": ((*RUN, "--set", "decoder=test_dropout"), "--set decoder=test_dropout: decoder 'test_dropout' does not apply"),
    # given twice
    "a key twice": ((*RUN, "--set", "beta=1", "--set", "beta=2"), "--set beta is given twice"),
    "seeds in two ways": ((*RUN, "--set", "seed=3", "--seeds", "1"), "--set seed and --seeds are the same; give one of them"),
    "share of data in two ways": ((*RUN, "--set", "limit_data=0.1", "--limit-data", "0.5"), "--set limit_data and --limit-data are the same"),
    "compile in two ways": ((*RUN, "--set", "compile=false", "--compile"), "--set compile and --compile are the same"),
    "a seed twice": ((*RUN, "--seeds", "1-3,2"), "--seeds 1-3,2: 2 is given twice"),
    # selections that leave nothing
    "one of two values": (
        (*RUN, "--only", "family=poisson,gausian"),
        "--only family=gausian: no run has it (did you mean 'gaussian'?)",
        "gaussian, poisson",
    ),
    "number that nothing has": ((*RUN, "--only", "beta=3"), "--only beta=3: no run has it", "the suite has beta: 1.0, 2.0"),
    "true that nothing has": ((*RUN, "--only", "beta=true"), "--only beta=true: no run has it"),
    "nothing has all": (
        (*RUN, "--only", "family=gaussian", "--only", "training.temperature_stop=0.05"),
        "--only family=gaussian training.temperature_stop=0.05: no run of suite 'test' has them all",
    ),
    "unknown option of --only": ((*RUN, "--only", "encoder_options.biass=true"), "--only encoder_options.biass: unknown option", "'bias'"),
    "options of --only": ((*RUN, "--only", "training=1"), "--only training: 'training' holds settings; name one of them"),
    "empty value of --only": ((*RUN, "--only", "family=poisson,"), "--only family=poisson,: expected key=value, or key=value,value"),
    "excluded by --seeds": (("plan", "{excluding}", "--seeds", "1"), "no run is left of suite 'test'", "--seeds 1"),
    "excluded by --set": (("plan", "{excluding}", "--set", "seed=1", "--only", "beta=1"), "no run is left of suite 'test'", "--set seed=1"),
    # numbers of other flags
    "huge scale": ((*RUN, "--scale", "1e308"), "--scale 1e+308: training.steps: ", "1000000000000"),
    "huge scale of epochs": ((*RUN, "--scale", "1e308", "--set", "training.epochs=10"), "--scale 1e+308: training.epochs: ", "got inf"),
    "tiny scale of epochs": ((*RUN, "--scale", "1e-300", "--set", "training.epochs=1e-30"), "--scale 1e-300: training.epochs: ", "greater than 0"),
    "no scale": ((*RUN, "--scale", "nan"), "--scale nan: expected a number above 0"),
    "no share": ((*RUN, "--limit-data", "nan"), "--limit-data nan: expected a share"),
    "5,000 digits of a seed": ((*RUN, "--seeds", "9" * 5000), "--seeds 999", "expected numbers like 0-7 or 0,2"),
    "large seed": ((*RUN, "--seeds", str(2**63)), f"--seeds {2**63}: seed: input should be less than 9223372036854775808"),
    "endless time": ((*RUN, "--time-limit", f"{'9' * 400}h"), "--time-limit 999", "expected a duration above 0"),
    "5,000 digits of per-gpu": ((*RUN, "--gpus", "0", "--per-gpu", "9" * 5000), "--per-gpu 999", "expected a number of at least 1, or auto"),
    "5,000 digits of cpus": ((*RUN, "--cpus", "9" * 5000), "'--cpus'"),
    # paths and names
    "no results": ((*RUN, "--results", ""), "'--results'", "expected a path, got nothing"),
    "no results to plan": (("plan", "{suite}", "--results", ""), "'--results'", "expected a path, got nothing"),
    "no results to compare": (("compare", ""), "expected a path, got nothing"),
    "no results to merge": (("merge", "results", "--into", ""), "'--into'", "expected a path, got nothing"),
    "no suite": (("run", ""), "expected a path, got nothing"),
    "no profile": ((*RUN, "--profile", ""), "--profile: expected a name, got nothing"),
    "no engine": ((*RUN, "--engine", ""), "--engine: expected a name, got nothing"),
    "long suite": (("run", LONG), "suite file xxx", "cannot be read: File name too long"),
    "long profile": ((*RUN, "--profile", LONG), "profile file ", "xxx.yaml does not exist"),
    "long results of plan": (("plan", "{suite}", "--results", LONG), "xxx", "File name too long"),
    "long results of run": ((*RUN, "--results", LONG), "xxx", "File name too long"),
    "long results of show": (("show", "a", "--results", LONG), "xxx", "File name too long"),
    "long results of list": (("list", "runs", "--results", LONG), "xxx", "File name too long"),
    "long results of status": (("status", "--results", LONG), "xxx", "File name too long"),
    "long results of worker": (("worker", LONG), "xxx", "File name too long"),
    "long results of cancel": (("cancel", "--results", LONG), "xxx", "File name too long"),
    "long results of compact": (("compact", "--results", LONG), "xxx", "File name too long"),
    "long results of compare": (("compare", LONG), "xxx", "File name too long"),
    "long results of merge": (("merge", LONG, "--into", "c"), "xxx", "File name too long"),
    "long results to merge into": (("merge", "{published}", "--into", LONG), "xxx", "File name too long"),
    "folder as a suite": (("run", "."), "suite file . is a folder"),
    "endless suite": (("run", "/dev/zero"), "suite file /dev/zero", "larger than 10 MB"),
    "binary suite": (("run", "{binary}"), "cannot be read", "utf-8"),
    "show nowhere": (("show", "abc", "--results", "nowhere"), "results folder nowhere has no results (it does not exist)"),
    "evaluate nowhere": (("evaluate", "nowhere", "--evaluation", "elbo"), "results folder nowhere has no results (it does not exist)"),
    "long results of evaluate": (("evaluate", LONG, "--evaluation", "elbo"), "xxx", "File name too long"),
    "long results of list metrics": (("list", "metrics", "--results", LONG), "xxx", "File name too long"),
    "metrics of nowhere": (("list", "metrics", "--results", "nowhere"), "results folder nowhere has no results"),
    # evaluations of the command line
    "no evaluation": (("evaluate", "{published}"), "Missing option '--evaluation'"),
    "misspelt evaluation": (
        ("evaluate", "{published}", "--evaluation", "knnn"),
        "--evaluation knnn: unknown evaluation 'knnn' (did you mean 'knn'?)",
    ),
    "misspelt option": (
        ("evaluate", "{published}", "--evaluation", "knn(readot=mean)"),
        "--evaluation knn(readot=mean): evaluation 'knn': unknown key 'readot' (did you mean 'readout'?); known: split, readout",
    ),
    "option's value": (("evaluate", "{published}", "--evaluation", "knn(draws=true)"), "evaluation 'knn': draws: expected a number", "got true"),
    "option's brackets": (("evaluate", "{published}", "--evaluation", f"knn(sizes={'[' * 5000})"), "--evaluation knn(sizes=[[[", "nested too deeply"),
    "evaluation's form": (("evaluate", "{published}", "--evaluation", "knn("), "--evaluation knn(: expected a name, or a name with options"),
    "evaluation in words": (("evaluate", "{published}", "--evaluation", "knn by mean"), "expected a name, or a name with options"),
    "option twice": (("evaluate", "{published}", "--evaluation", "knn(draws=1, draws=2)"), "the option 'draws' is given twice"),
    "option without a value": (("evaluate", "{published}", "--evaluation", "knn(draws)"), "expected options like key=value, got 'draws'"),
    "no run to measure": (("evaluate", "{published}", "--evaluation", "knn"), "no run can be measured: ", "its model is not stored"),
    "kinds to measure": (("evaluate", "{published}", "--evaluation", "knn", "--retry", "evaluations"), "did you mean 'evaluation'?"),
    "nothing to refresh": (("evaluate", "{published}", "--evaluation", "knn", "--refresh", "all"), "'--refresh'"),
    # forms and kinds
    "form of show": (("show", "a", "--format", "csv"), "'--format'", "'text', 'json'"),
    "form of status": (("status", "--format", "yaml"), "'--format'", "'text', 'json'"),
    "measuring anew without measuring": (("plan", "{suite}", "--fresh"), "--fresh is for --time"),
    "cores to measure for": (("plan", "{suite}", "--time", "--cpus", "0"), "--cpus 0", "greater than or equal to 1"),
    "GPUs to measure for": (("plan", "{suite}", "--time", "--gpus", "x"), "--gpus x: expected numbers"),
    "form of plan": (("plan", "{suite}", "--format", "xml"), "'--format'", "'text', 'json'"),
    "failed families": (("list", "families", "--failed"), "--failed is for `latentbench list runs`"),
    "some metrics": (("list", "metrics", "--only", "family=poisson"), "--only is for `latentbench list runs`"),
    "families of a folder": (("list", "families", "--results", "x"), "--results is for `latentbench list runs`"),
    "runs of a family": (("list", "runs", "--results", "{published}", "--only", "famly=x"), "unknown setting 'famly' (did you mean 'family'?)"),
    # names of compare
    "compare's row": (
        ("compare", "{published}", "--rows", "training.batch"),
        "unknown setting 'training.batch' (did you mean 'training.batch_size'?)",
    ),
    "compare's value": (
        ("compare", "{published}", "--metric", "nelbo", "--only", "family=poisson,gausian"),
        "--only family=gausian: no result has it (did you mean 'gaussian'?)",
    ),
    "compare's form": (("compare", "{published}", "--only", "family"), "--only family: expected key=value"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch, root):
    """A working folder with files for the words above; what else is in it afterwards was written by mistake."""
    monkeypatch.chdir(tmp_path)
    summaries = tmp_path / "results" / "published" / "summaries"
    summaries.mkdir(parents=True)
    for name in ("table5", "seeds"):
        (summaries / f"{name}.parquet").touch()
    (tmp_path / "suite.yaml").write_text(SUITE)
    (tmp_path / "excluding.yaml").write_text(with_setting("exclude: [{seed: 1}]"))
    (tmp_path / "binary.yaml").write_bytes(b"name: \xff\xfe")
    return tmp_path


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def check(answer, message):
    assert answer.code == 2
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1
    assert len(answer.err) < 1500 or "'--cpus'" in answer.err
    assert all(part in answer.err for part in message), answer.err
    assert not any(word in answer.out + answer.err for word in ("Traceback", "constrained", "function-", "[type="))


@pytest.mark.parametrize("mistake", SUITES)
def test_a_bad_suite(mistake, cli, folder):
    text, *message = SUITES[mistake]
    (folder / "suite.yaml").write_text(text)
    before = content(folder)
    check(cli("run", "suite.yaml"), message)
    assert content(folder) == before


@pytest.mark.parametrize("mistake", FLAGS)
def test_a_bad_flag(mistake, cli, folder, root):
    words, *message = FLAGS[mistake]
    before = content(folder)
    places = {name: folder / f"{name}.yaml" for name in ("suite", "excluding", "binary")} | {"published": root / "results" / "published"}
    for name, path in places.items():
        words = [word.replace(f"{{{name}}}", str(path)) for word in words]
    check(cli(*words), message)
    assert content(folder) == before
