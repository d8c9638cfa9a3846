%% An Erlang node of the distribution benchmark: the same commands and the same processes as our-node.ts.
%%
%% Reads a command a line, `ID NAME ARGUMENT...`, and answers with `@@ ID JSON`. Each command runs in a process of its own, so
%% that one may go on while another waits. Times are in nanoseconds.
-module(dist_bench).
-behaviour(gen_server).
-export([start/0, init/1, handle_call/3, handle_cast/2]).

-define(BATCH, 50).

start() ->
    spawn(fun() -> register(sink, self()), sink() end),
    spawn(fun() -> register(echo, self()), echo() end),
    {ok, _} = gen_server:start({local, server}, ?MODULE, [], []),
    io:format("@@ 0 true~n"),
    loop().

loop() ->
    case io:get_line("") of
        eof -> halt();
        {error, _} -> halt();
        Line ->
            [Id, Name | Args] = string:lexemes(Line, " \n"),
            spawn(fun() -> io:format("@@ ~s ~s~n", [Id, run(list_to_atom(Name), Args)]) end),
            loop()
    end.

run(connect, [Node]) ->
    atom_to_list(net_kernel:connect_node(list_to_atom(Node)));
run(flood, [Node, Kind, Count]) ->
    flood(list_to_atom(Node), list_to_atom(Kind), list_to_integer(Count));
run(pingpong, [Node, Count]) ->
    To = {echo, list_to_atom(Node)},
    trips(list_to_integer(Count), fun(I) -> To ! {self(), I}, receive I -> ok end end);
run(echo, [Node, Bytes, Count]) ->
    To = {echo, list_to_atom(Node)},
    Body = binary:copy(<<7>>, list_to_integer(Bytes)),
    trips(list_to_integer(Count), fun(_) -> To ! {self(), Body}, receive B when byte_size(B) =:= byte_size(Body) -> ok end end);
run(call, [Node, Callers, Count]) ->
    To = {server, list_to_atom(Node)},
    callers(list_to_integer(Callers), list_to_integer(Count), fun(I) -> I = gen_server:call(To, {echo, I}) end);
run(erpc, [Node, Callers, Count]) ->
    At = list_to_atom(Node),
    callers(list_to_integer(Callers), list_to_integer(Count), fun(_) -> At = erpc:call(At, erlang, node, []) end);
run(hold, [Node, Bytes, Count, PauseMs]) ->
    %% Sends large messages, one after another, for `small` to be measured beside.
    Body = binary:copy(<<7>>, list_to_integer(Bytes)),
    To = {sink, list_to_atom(Node)},
    trips(list_to_integer(Count), fun(_) -> To ! Body, timer:sleep(list_to_integer(PauseMs)) end);
run(paced, [Node, Count, PauseMs]) ->
    %% Round trips with a pause between them.
    To = {echo, list_to_atom(Node)},
    Pause = list_to_integer(PauseMs),
    trips(list_to_integer(Count), fun(I) -> To ! {self(), I}, receive I -> ok end end, fun() -> timer:sleep(Pause) end).

%% One-way messages: the sink says when all have come, and how long each thousand of them took.
flood(Node, Kind, Count) ->
    To = {sink, Node},
    Started = now_ns(),
    To ! {start, self(), Count},
    send(To, term(Kind), Count),
    receive {done, Samples} -> answer(now_ns() - Started, Samples) end.

send(_To, _Term, 0) -> ok;
send(To, Term, Count) -> To ! Term, send(To, Term, Count - 1).

term(small) -> {msg, 1};
term(publish) -> publish();
term(batch) -> [publish() || _ <- lists:seq(1, ?BATCH)].

publish() ->
    {publish, <<"sensors/building-7/room-12/temperature">>, binary:copy(<<"x">>, 64), 1,
     #{qos => 1, retain => false, from => <<"client-4711">>, ts => 1700000000123, dup => false}}.

sink() ->
    receive
        {start, From, Count} ->
            Every = max(1, Count div 20),
            From ! {done, sink(Count, Every, Every, now_ns(), [])},
            sink();
        _ ->
            sink()
    end.

sink(0, _Every, _InChunk, _Since, Samples) ->
    Samples;
sink(Left, Every, 0, Since, Samples) ->
    Now = now_ns(),
    sink(Left, Every, Every, Now, [(Now - Since) / Every | Samples]);
sink(Left, Every, InChunk, Since, Samples) ->
    receive _ -> sink(Left - 1, Every, InChunk - 1, Since, Samples) end.

echo() ->
    receive {From, Body} -> From ! Body end,
    echo().

trips(Count, Trip) -> trips(Count, Trip, fun() -> ok end).

trips(Count, Trip, Rest) ->
    Started = now_ns(),
    Samples = [begin
                   From = now_ns(),
                   Trip(I),
                   Took = now_ns() - From,
                   Rest(),
                   Took
               end || I <- lists:seq(1, Count)],
    answer(now_ns() - Started, Samples).

callers(Callers, Count, Call) ->
    Self = self(),
    Started = now_ns(),
    [spawn_link(fun() ->
                        Self ! [begin From = now_ns(), Call(I), now_ns() - From end
                                || I <- lists:seq(1, Count div Callers)]
                end) || _ <- lists:seq(1, Callers)],
    Samples = lists:append([receive S -> S end || _ <- lists:seq(1, Callers)]),
    answer(now_ns() - Started, Samples).

answer(Ns, Samples) ->
    io_lib:format("{\"ns\":~w,\"samples\":[~s]}", [Ns, lists:join(",", [integer_to_list(round(S)) || S <- Samples])]).

now_ns() -> erlang:monotonic_time(nanosecond).

init([]) -> {ok, []}.
handle_call({echo, X}, _From, State) -> {reply, X, State}.
handle_cast(_, State) -> {noreply, State}.
