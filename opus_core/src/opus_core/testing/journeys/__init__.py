"""Whole journeys of jobs through a real server, with whatever back ends its configuration names.

For authors of a storage, a manager, a format of descriptions, an observer or a way to sign in,
once it keeps its contract. With `opus-core[testing]` and the plugin installed, type

    pytest --opus-config opus.toml --pyargs opus_core.testing.journeys

A server, `opus serve`, is started with that configuration and asked by HTTP, as any client would.
Its jobs are bash scripts. Each journey is a test; a failure says what was expected of which back
end. The folder of a server whose journeys failed is kept, and the end of its log is shown.

The file is a template: each server has a fresh folder and gets a copy of the file there, so

- relative paths begin there and are fresh for each server; absolute ones are yours and stay;
- `{folder}` becomes the path of that folder, `{here}` that of the folder of your file;
- `{site}` becomes a word of small letters, digits and `_`, another one for each server, for what
  has to be a server's own elsewhere: a database, a schema, a prefix of tables.

A table you leave out is by default. The journeys set for themselves: `base_url`, `data_dir` and
`log_file`; in [server] host, port, event_url and sendfile; in [supervisor] embedded and
lease_seconds; in [jobs] folder. Where you do not say otherwise they set poll_interval to 1 s, grace
to 2 s, and in [auth], unless you have that table, that anybody may run and list jobs.

- `--opus-config FILE`: the configuration.
- `--opus-folder DIR`: where servers have their folders, by default in a folder of pytest's. A
  cluster has to see it by the same path, since the scripts of the journeys write there.
- `--opus-before COMMAND`: run by a shell before a server is started, as `'createdb {site}'`.
- `--opus-after COMMAND`: run by a shell after it has stopped, as `'dropdb {site}'`.
- `--opus-header 'NAME: VALUE'`: sent with every request, for who has to sign in; several times for
  several.

Commands have the same placeholders; server and commands get the environment of pytest. What is due
at once has 20 s: `OPUS_TESTING_PATIENCE=120` [s] gives a slow cluster more. `-k abort` and the like
choose among the journeys; with pytest-xdist `-n 2` takes two servers on their way at once.

To go through several configurations inherit `opus_core.testing.journeys.suite.Journeys`, and answer
a `Recipe` from the fixture `recipe`.
"""
