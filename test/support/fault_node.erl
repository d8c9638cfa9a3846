%% What fault-node.ts is for a node of ours, for an Erlang node: processes that hold links and monitors, and a ledger of what they
%% are told. Pids travel as term_to_binary in base64.
-module(fault_node).
-export([start/0, spawn_targets/1, finish/2, watch/2, fired/0, held/0, silent/0, forget/0, footprint/0, traffic/1, settled/0]).

start() ->
    Ready = self(),
    spawn(fun() -> register(echo, self()), Ready ! ready, echo() end),
    receive ready -> ok end,
    spawn(fun() ->
        register(ledger, self()),
        net_kernel:monitor_nodes(true, [{node_type, all}, nodedown_reason]),
        Ready ! ready,
        ledger([], #{}, [])
    end),
    receive ready -> ok end,
    spawn(fun() -> register(traffic, self()), Ready ! ready, traffic_loop([], 0, 0) end),
    receive ready -> ok end,
    ok.

echo() ->
    receive
        {'$gen_call', From, {echo, Value}} -> gen_server:reply(From, Value);
        _ -> ok
    end,
    echo().

spawn_targets(Count) ->
    [text(spawn(fun target/0)) || _ <- lists:seq(1, Count)].

%% Outlives those that are linked to it, and ends as it is told.
target() ->
    process_flag(trap_exit, true),
    receive {finish, Reason} -> exit(Reason) end.

finish(Target, Reason) ->
    pid(Target) ! {finish, Reason},
    ok.

watch(Id, Target) ->
    Pid = pid(Target),
    Watcher = spawn(fun() -> watcher(Id, Pid) end),
    ledger ! {watcher, Id, Watcher},
    ok.

watcher(Id, Target) ->
    process_flag(trap_exit, true),
    link(Target),
    Ref = monitor(process, Target),
    watching(Id, Target, Ref).

watching(Id, Target, Ref) ->
    receive
        {'DOWN', Ref, process, Target, Reason} -> ledger ! {fired, Id, 'DOWN', Reason};
        {'EXIT', Target, Reason} -> ledger ! {fired, Id, 'EXIT', Reason};
        {held, From, Tag} ->
            [{monitors, M}, {links, L}] = process_info(self(), [monitors, links]),
            From ! {Tag, {Id, lists:member({process, Target}, M), lists:member(Target, L)}};
        forget -> exit(normal);
        Other -> ledger ! {fired, Id, unexpected, Other}
    end,
    watching(Id, Target, Ref).

ledger(Fired, Watchers, Silent) ->
    receive
        {watcher, Id, Pid} -> ledger(Fired, Watchers#{Id => Pid}, Silent);
        {fired, Id, What, Reason} -> ledger([{Id, What, Reason} | Fired], Watchers, Silent);
        {ask, From, Tag} -> From ! {Tag, {lists:reverse(Fired), Watchers}}, ledger(Fired, Watchers, Silent);
        {silent, From, Tag} -> From ! {Tag, Silent}, ledger(Fired, Watchers, []);
        {nodedown, Node, Info} ->
            case proplists:get_value(nodedown_reason, Info) of
                net_tick_timeout -> ledger(Fired, Watchers, [Node | Silent]);
                _ -> ledger(Fired, Watchers, Silent)
            end;
        {nodeup, _, _} -> ledger(Fired, Watchers, Silent);
        forget ->
            [Pid ! forget || Pid <- maps:values(Watchers)],
            ledger([], #{}, Silent)
    end.

%% Nodes that were given up since the last question.
silent() ->
    Tag = make_ref(),
    ledger ! {silent, self(), Tag},
    receive {Tag, Silent} -> Silent end.

ask(Name) ->
    Tag = make_ref(),
    Name ! {ask, self(), Tag},
    receive {Tag, Answer} -> Answer end.

fired() ->
    {Fired, _} = ask(ledger),
    [{Id, What, text_of_reason(Reason)} || {Id, What, Reason} <- Fired].

held() ->
    {_, Watchers} = ask(ledger),
    [begin
         Tag = make_ref(),
         Pid ! {held, self(), Tag},
         receive {Tag, Held} -> Held after 10000 -> {Id, stuck, stuck} end
     end || {Id, Pid} <- maps:to_list(Watchers)].

forget() ->
    ledger ! forget,
    ok.

%% How many processes run in this module, this one among them, and what there is between processes here and elsewhere.
footprint() ->
    Infos = [{P, process_info(P, [current_function, links, monitors, monitored_by])} || P <- processes()],
    Known = [I || {_, Info} = I <- Infos, Info =/= undefined],
    {length([P || {P, [{_, {?MODULE, _, _}} | _]} <- Known]),
     [{P, F, L} || {P, [{_, F}, {links, Ls} | _]} <- Known, L <- Ls, is_pid(L), node(L) =/= node()],
     [{P, F, M} || {P, [{_, F}, _, {monitors, Ms} | _]} <- Known, {process, M} <- Ms, is_elsewhere(M)],
     [{P, F, W} || {P, [{_, F}, _, _, {monitored_by, Ws}]} <- Known, W <- Ws, is_pid(W), node(W) =/= node()]}.

is_elsewhere({_, Node}) -> Node =/= node();
is_elsewhere(Pid) -> is_pid(Pid) andalso node(Pid) =/= node().

traffic(Peers) ->
    traffic ! {peers, Peers},
    ok.

settled() ->
    ask(traffic).

%% One client at a time for each call; what counts is that every call has an end.
traffic_loop(Peers, Outstanding, Settled) ->
    receive
        {peers, New} when Peers =:= [], New =/= [] ->
            Self = self(),
            [spawn(fun() -> client(Self, Client, Client) end) || Client <- lists:seq(0, 3)],
            traffic_loop(New, Outstanding, Settled);
        {peers, New} -> traffic_loop(New, Outstanding, Settled);
        {next, From, N} ->
            case Peers of
                [] -> From ! stop, traffic_loop(Peers, Outstanding, Settled);
                _ -> From ! {call, lists:nth(1 + N rem length(Peers), Peers)}, traffic_loop(Peers, Outstanding + 1, Settled)
            end;
        done -> traffic_loop(Peers, Outstanding - 1, Settled + 1);
        {ask, From, Tag} -> From ! {Tag, {Outstanding, Settled}}, traffic_loop(Peers, Outstanding, Settled)
    end.

client(Traffic, Client, N) ->
    Traffic ! {next, self(), N},
    receive
        stop -> ok;
        {call, Node} ->
            catch case Client of
                0 -> gen_server:call({echo, Node}, {echo, N}, infinity);
                1 -> gen_server:call({echo, Node}, {echo, <<0:8000>>}, 300);
                2 -> erpc:call(Node, timer, sleep, [3]);
                3 -> rpc:call(Node, timer, sleep, [3], 300)
            end,
            Traffic ! done,
            timer:sleep(5),
            client(Traffic, Client, N + 1)
    end.

text(Pid) -> binary_to_list(base64:encode(term_to_binary(Pid))).

pid(Text) -> binary_to_term(base64:decode(Text)).

text_of_reason(Reason) when is_atom(Reason) -> atom_to_list(Reason);
text_of_reason(Reason) -> lists:flatten(io_lib:format("~w", [Reason])).
