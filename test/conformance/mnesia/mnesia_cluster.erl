%% Runs programs (cluster-program.ts) on Mnesia on several nodes: peers of the Erlang that is asked, which is no node itself. On each of them one
%% process, the runner, does all operations, so that what it has subscribed comes to it.
-module(mnesia_cluster).
-export([start/3, run/1, stop/0]).
-export([run_here/0, ask/2, ask_here/1]).

-define(COOKIE, "agner").

%% Starts the nodes, under an epmd, with their files in folders of a directory.
start(Names, EpmdPort, Dir) ->
    Modules = [mnesia_programs, ?MODULE],
    Starts = [spawn_monitor(fun() -> exit({started, start_node(Name, EpmdPort, Dir, Modules)}) end) || Name <- Names],
    Peers = [receive {'DOWN', Monitor, process, Pid, {started, Peer}} -> Peer end || {Pid, Monitor} <- Starts],
    persistent_term:put(?MODULE, maps:from_list(Peers)),
    [call(hd(Names), net_kernel, connect_node, [full(Name)]) || Name <- tl(Names)],
    [call(Name, net_kernel, connect_node, [full(Other)]) || Name <- Names, Other <- Names, Other =/= Name],
    build().

start_node(Name, EpmdPort, Dir, Modules) ->
    {ok, Pid, _} = peer:start(#{
        name => Name, host => "127.0.0.1", longnames => true, connection => standard_io, wait_boot => 30000,
        env => [{"ERL_EPMD_PORT", integer_to_list(EpmdPort)}],
        args => ["-setcookie", ?COOKIE, "-start_epmd", "false", "+S", "1", "-kernel", "prevent_overlapping_partitions", "false",
                 "-kernel", "logger_level", "none"]}),
    [{module, Module} = peer:call(Pid, code, load_binary, [Module, "", code(Module)]) || Module <- Modules],
    ok = peer:call(Pid, application, set_env, [mnesia, dir, filename:join(Dir, Name)]),
    ok = peer:call(Pid, application, load, [mnesia]),
    true = peer:call(Pid, ?MODULE, run_here, []),
    {Name, Pid}.

code(Module) -> persistent_term:get({code, Module}).

stop() -> [peer:stop(Peer) || Peer <- maps:values(persistent_term:get(?MODULE))], ok.

%% One database over all of them, without tables.
build() ->
    Nodes = [full(Name) || Name <- names()],
    [call(Name, mnesia, stop, []) || Name <- names()],
    [call(Name, mnesia, delete_schema, [[full(Name)]]) || Name <- names()],
    ok = call(hd(names()), mnesia, create_schema, [Nodes]),
    [ok = call(Name, mnesia, start, []) || Name <- names()],
    [until(fun() -> running(Name) =:= lists:sort(Nodes) end) || Name <- names()],
    ok.

%% The results of a program. What follows finds no tables.
run(Program) ->
    try [op(Operation) || Operation <- Program] of
        Results -> clean(is_usual(Program)), Results
    catch
        Class:Reason:Stack -> clean(false), erlang:raise(Class, Reason, Stack)
    end.

%% All nodes run, and nobody holds anything against another.
is_usual(Program) ->
    Names = lists:flatten([[Name, lists:sublist(Rest, 1)] || [Name | Rest] <- Program]),
    not lists:member(<<"cut">>, Names) andalso not lists:member(<<"force_load_table">>, Names) andalso
        lists:all(fun(Name) -> call(Name, mnesia, system_info, [is_running]) =:= yes end, names()).

clean(true) ->
    [call(Name, ?MODULE, run_here, []) || Name <- names()],
    Tabs = call(hd(names()), mnesia, system_info, [tables]) -- [schema],
    [{atomic, ok} = call(hd(names()), mnesia, delete_table, [Tab]) || Tab <- Tabs];
clean(false) ->
    [erase({cut, Name}) || Name <- names()],
    [mend(Name) || Name <- names()],
    [call(Name, ?MODULE, run_here, []) || Name <- names()],
    build().

op([<<"stop">>, Name]) ->
    stopped = call(name(Name), mnesia, stop, []),
    [until(fun() -> not lists:member(full(name(Name)), running(Other)) end) || Other <- reached(name(Name))],
    <<"ok">>;
op([<<"start">>, Name]) ->
    ok = call(name(Name), mnesia, start, []),
    until(fun() -> call(name(Name), mnesia, system_info, [is_running]) =:= yes end),
    Others = [Other || Other <- reached(name(Name)), call(Other, mnesia, system_info, [is_running]) =:= yes],
    [until(fun() -> lists:member(full(name(Name)), running(Other)) end) || Other <- Others],
    <<"ok">>;
%% From all others.
op([<<"cut">>, Name]) ->
    put({cut, name(Name)}, true),
    Others = names() -- [name(Name)],
    [cookies(name(Name), Other, wrong) || Other <- Others],
    [call(name(Name), erlang, disconnect_node, [full(Other)]) || Other <- Others],
    [until(fun() -> running(One) -- [full(Two)] =:= running(One) end) || {One, Two} <- [{name(Name), Other} || Other <- Others] ++ [{Other, name(Name)} || Other <- Others]],
    <<"ok">>;
op([<<"mend">>, Name]) ->
    erase({cut, name(Name)}),
    mend(name(Name)),
    <<"ok">>;
op([<<"together">>, Times, Transactions]) ->
    Runs = [spawn_monitor(fun() ->
        [[<<"atomic">>, _] = call(name(Name), mnesia_programs, outside, [[<<"transaction">>, Steps]]) || _ <- lists:seq(1, Times)]
    end) || [Name, Steps] <- Transactions],
    [receive {'DOWN', Monitor, process, Pid, normal} -> <<"ok">> end || {Pid, Monitor} <- Runs];
op([Name | Operation]) ->
    Result = call(name(Name), ?MODULE, ask, [full(name(Name)), Operation]),
    call(name(Name), ?MODULE, ask_here, [settle]),
    Result.

mend(Name) ->
    Others = names() -- [Name],
    [cookies(Name, Other, list_to_atom(?COOKIE)) || Other <- Others],
    [until(fun() -> call(Name, net_kernel, connect_node, [full(Other)]) end) || Other <- Others].

cookies(One, Two, Cookie) ->
    call(One, erlang, set_cookie, [full(Two), Cookie]),
    call(Two, erlang, set_cookie, [full(One), Cookie]).

reached(Name) -> [Other || Other <- names() -- [Name], get({cut, Other}) =:= undefined, get({cut, Name}) =:= undefined].
running(Name) -> lists:sort(call(Name, mnesia, system_info, [running_db_nodes])).
names() -> lists:sort(maps:keys(persistent_term:get(?MODULE))).
name(Name) -> binary_to_atom(Name).
full(Name) -> list_to_atom(atom_to_list(Name) ++ "@127.0.0.1").
call(Name, Module, Function, Args) -> peer:call(maps:get(Name, persistent_term:get(?MODULE)), Module, Function, Args, 20000).

until(IsSo) -> until(IsSo, 500).
until(IsSo, 0) -> error({never, erlang:fun_info(IsSo, env)});
until(IsSo, Left) ->
    case IsSo() of
        true -> ok;
        _ -> timer:sleep(10), until(IsSo, Left - 1)
    end.

%% On the nodes.

%% Starts a runner, in the place of the one before.
run_here() ->
    case whereis(runner) of
        undefined -> ok;
        Before -> Monitor = monitor(process, Before), exit(Before, kill), receive {'DOWN', Monitor, _, _, _} -> ok end
    end,
    register(runner, spawn(fun runner/0)).

runner() ->
    receive {ask, From, Ref, Operation} -> From ! {Ref, do(Operation)} end,
    runner().

%% All that this runner has sent to others has been taken in.
do(settle) ->
    [sys:get_status({mnesia_tm, Node}) || mnesia:system_info(is_running) =:= yes, Node <- mnesia:system_info(running_db_nodes)];
do(Operation) -> mnesia_programs:outside(Operation).

ask_here(Operation) -> ask(node(), Operation).

ask(Node, Operation) ->
    Ref = make_ref(),
    {runner, Node} ! {ask, self(), Ref, Operation},
    receive {Ref, Result} -> Result end.
