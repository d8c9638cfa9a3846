%% A node of Mnesia of the benchmark of tables: the same commands as our-node.ts. Reads `ID NAME ARGUMENT...`, answers `@@ ID JSON`.
-module(mnesia_bench).
-export([start/0]).

-record(row, {key, payload}).

start() ->
    logger:set_primary_config(level, none),
    io:format("@@ 0 null~n"),
    loop().

loop() ->
    case io:get_line("") of
        Line when is_list(Line) ->
            [Id, Name | Args] = string:lexemes(string:trim(Line), " "),
            spawn(fun() -> io:format("@@ ~s ~s~n", [Id, json(do(list_to_atom(Name), Args))]) end),
            loop();
        _ -> halt()
    end.

do(start, ["ram"]) -> ok = mnesia:start(), null;
do(start, [Dir]) ->
    ok = application:set_env(mnesia, dir, Dir),
    ok = application:set_env(mnesia, dump_log_write_threshold, 50000),
    case mnesia:create_schema([node()]) of ok -> ok; {error, {_, {already_exists, _}}} -> ok end,
    ok = mnesia:start(),
    ok = mnesia:wait_for_tables(mnesia:system_info(tables), infinity),
    null;
do(stop, []) -> stopped = mnesia:stop(), null;
do(create, [Copies]) ->
    {atomic, ok} = mnesia:create_table(row, [{list_to_atom(Copies), [node()]}, {attributes, record_info(fields, row)}]),
    null;
%% Wall-clock ms until all rows of the table are here.
do(join, [Node]) ->
    {Us, _} = timer:tc(fun() ->
        {ok, [_]} = mnesia:change_config(extra_db_nodes, [list_to_atom(Node)]),
        {atomic, ok} = mnesia:add_table_copy(row, node(), ram_copies)
    end),
    Us / 1000;
do(fill, [N]) ->
    Payload = binary:copy(<<"v">>, 100),
    [mnesia:dirty_write(#row{key = key(I), payload = binary:copy(Payload)}) || I <- lists:seq(1, list_to_integer(N))],
    null;
do(size, []) -> mnesia:table_info(row, size);
%% Writes of keys of its own; us per write.
do(write, [N, From]) ->
    First = list_to_integer(From),
    Payload = binary:copy(<<"v">>, 100),
    {Us, _} = timer:tc(fun() ->
        [mnesia:dirty_write(#row{key = key(First + I), payload = Payload}) || I <- lists:seq(1, list_to_integer(N))]
    end),
    Us / list_to_integer(N);
do(solo, [N]) -> solo(list_to_integer(N));
do(probe, [Ms]) -> probe(list_to_integer(Ms)).

%% CPU ns each: a read, a write over a row, a transaction that reads and writes; bytes a row takes.
solo(N) ->
    ok = mnesia:start(),
    do(create, ["ram_copies"]),
    garbage_collect(),
    Before = erlang:memory(total),
    do(fill, [integer_to_list(N)]),
    garbage_collect(),
    Bytes = (erlang:memory(total) - Before) / N,
    Count = 200000,
    Keys = [key(1 + (I * 7919) rem N) || I <- lists:seq(1, Count)],
    Payload = binary:copy(<<"w">>, 100),
    Read = ns(Count, fun() -> [[_] = mnesia:dirty_read(row, Key) || Key <- Keys] end),
    Write = ns(Count, fun() -> [mnesia:dirty_write(#row{key = Key, payload = Payload}) || Key <- Keys] end),
    Some = lists:sublist(Keys, 20000),
    Transaction = ns(20000, fun() ->
        [{atomic, ok} = mnesia:transaction(fun() ->
            [Row] = mnesia:read(row, Key, write),
            mnesia:write(Row)
        end) || Key <- Some]
    end),
    [Read, Write, Transaction, Bytes].

ns(Count, Work) ->
    garbage_collect(),
    {_, _} = erlang:statistics(runtime),
    Work(),
    {_, Ms} = erlang:statistics(runtime),
    Ms * 1.0e6 / Count.

%% Three processes, each with one kind of operation about every ms; [count, p50, p99, greatest] of each in us.
probe(Ms) ->
    Self = self(),
    Payload = binary:copy(<<"p">>, 100),
    Kinds = [fun(I) -> mnesia:dirty_read(row, key(1 + I rem 1000)) end,
             fun(I) -> mnesia:dirty_write(#row{key = key(1 + I rem 1000), payload = Payload}) end,
             fun(I) ->
                 Key = key(1 + I rem 1000),
                 {atomic, ok} = mnesia:transaction(fun() -> mnesia:read(row, Key, write), mnesia:write(#row{key = Key, payload = Payload}) end)
             end],
    Until = erlang:monotonic_time(millisecond) + Ms,
    Pids = [spawn(fun() -> probe(Self, Kind, Until, 0, []) end) || Kind <- Kinds],
    [receive {Pid, Samples} -> summary(Samples) after max(0, Until - erlang:monotonic_time(millisecond)) + 100 ->
        %% It hangs: what it has done until now is not known, but that it takes this long is.
        Pid ! report, receive {Pid, Samples} -> summary(Samples ++ [Ms * 1000]) after 100 -> [0, null, null, Ms * 1000] end
     end || Pid <- Pids].

probe(To, Kind, Until, I, Samples) ->
    case erlang:monotonic_time(millisecond) >= Until of
        true -> To ! {self(), Samples};
        false ->
            {Us, _} = timer:tc(fun() -> Kind(I) end),
            receive report -> ok after 1 -> ok end,
            probe(To, Kind, Until, I + 1, [Us | Samples])
    end.

summary([]) -> [0, null, null, null];
summary(Samples) ->
    Sorted = lists:sort(Samples),
    Count = length(Sorted),
    [Count, lists:nth(1 + Count div 2, Sorted), lists:nth(1 + (Count * 99) div 100, Sorted), lists:last(Sorted)].

key(I) -> iolist_to_binary(["site/", integer_to_list(I rem 997), "/dev/", integer_to_list(I), "/up"]).


json(null) -> "null";
json(List) when is_list(List) -> ["[", lists:join(",", [json(Each) || Each <- List]), "]"];
json(Number) when is_integer(Number) -> integer_to_list(Number);
json(Number) when is_float(Number) -> io_lib:format("~.3f", [Number]).
