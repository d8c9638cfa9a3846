#!/usr/bin/env escript
%%! +S 1
%% The same rows in Mnesia: disc_copies, written in transactions of 1000, loaded, backed up and restored.
-mode(compile).

-record(retained, {topic, payload}).

main([Dir, Count]) ->
    N = list_to_integer(Count),
    ok = application:set_env(mnesia, dir, Dir),
    %% As a broker would: the log is dumped less often than by default.
    ok = application:set_env(mnesia, dump_log_write_threshold, 50000),
    ok = mnesia:create_schema([node()]),
    ok = mnesia:start(),
    {atomic, ok} = mnesia:create_table(retained, [{disc_copies, [node()]}, {attributes, record_info(fields, retained)}]),
    measured("Mnesia: write, 1000 a transaction", N, fun() -> fill(0, N) end),
    measured("Mnesia: dump_log", N, fun() -> dumped = mnesia:dump_log() end),
    stop(),
    io:format("~-42s ~b bytes/row~n", ["Mnesia: on disc", bytes(Dir) div N]),
    measured("Mnesia: start and load", N, fun() ->
        ok = mnesia:start(),
        ok = mnesia:wait_for_tables([retained], infinity)
    end),
    N = mnesia:table_info(retained, size),
    File = filename:join(Dir, "backup"),
    measured("Mnesia: backup", N, fun() -> ok = mnesia:backup(File) end),
    measured("Mnesia: restore over the same rows", N, fun() ->
        {atomic, [retained]} = mnesia:restore(File, [{skip_tables, [schema]}])
    end),
    Text = filename:join(Dir, "text"),
    measured("Mnesia: dump to text", N, fun() -> ok = mnesia:dump_to_textfile(Text) end),
    stop().

stop() ->
    stopped = mnesia:stop().

fill(N, N) ->
    ok;
fill(From, N) ->
    To = min(From + 1000, N),
    {atomic, ok} = mnesia:transaction(fun() ->
        lists:foreach(fun(I) -> mnesia:write(#retained{topic = key(I, N), payload = binary:copy(<<"v">>, 100)}) end,
                      lists:seq(From, To - 1))
    end),
    fill(To, N).

key(I, N) ->
    iolist_to_binary(io_lib:format("sensors/~7..0b/temperature", [(I * 7919) rem N])).

bytes(Dir) ->
    {ok, Names} = file:list_dir(Dir),
    lists:sum([filelib:file_size(filename:join(Dir, Name)) || Name <- Names]).

measured(What, N, Work) ->
    {Before, _} = erlang:statistics(runtime),
    {Us, _} = timer:tc(Work),
    {After, _} = erlang:statistics(runtime),
    io:format("~-42s ~.2f s, ~b rows/s, CPU ~.2f us/row~n",
              [What, Us / 1.0e6, N * 1000000 div max(Us, 1), (After - Before) * 1000 / N]).
