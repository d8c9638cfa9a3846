%% Runs programs (program.ts) on Mnesia, all in one node, one after the other; mnesia_cluster.erl runs those of several nodes. Texts are
%% binaries, rows are lists of their fields.
-module(mnesia_programs).
-export([start/1, run/2, outside/1]).

-define(FIELDS, [k, v, w]).

start(Dir) ->
    ok = application:set_env(mnesia, dir, Dir),
    ok = mnesia:create_schema([node()]),
    ok = mnesia:start().

%% The results of a program, run by a process of its own; its tables are gone afterwards. Files are in a folder.
run(Folder, Program) ->
    {Pid, Monitor} = spawn_monitor(fun() ->
        %% The standard output is that of the answers, and load_textfile prints.
        group_leader(spawn_link(fun silent/0), self()),
        put(folder, Folder),
        exit({done, [outside(Operation) || Operation <- Program]})
    end),
    Result = receive {'DOWN', Monitor, process, Pid, Reason} -> Reason end,
    [{atomic, ok} = mnesia:delete_table(Tab) || Tab <- mnesia:system_info(tables) -- [schema]],
    {done, Results} = Result,
    Results.

silent() ->
    receive {io_request, From, As, _} -> From ! {io_reply, As, ok}, silent() end.

outside([Name | Args]) ->
    try do(binary_to_atom(Name), Args)
    catch exit:{aborted, Reason} -> [<<"aborted">>, reason(Reason)]
    end.

do(create_table, [Tab, Options]) ->
    Nodes = case Options of #{nodes := Names} -> [full(Name) || Name <- Names]; _ -> [node()] end,
    Copies = case Options of #{copies := <<"disc_copies">>} -> [{disc_copies, Nodes}]; _ -> [{ram_copies, Nodes}] end,
    Type = binary_to_atom(maps:get(type, Options, <<"set">>)),
    Index = [atom(Field) || Field <- maps:get(index, Options, [])],
    Local = maps:get(local_content, Options, false),
    schema(mnesia:create_table(atom(Tab), [{attributes, ?FIELDS}, {type, Type}, {index, Index}, {local_content, Local} | Copies]));
do(delete_table, [Tab]) -> schema(mnesia:delete_table(atom(Tab)));
do(clear_table, [Tab]) -> schema(mnesia:clear_table(atom(Tab)));
do(force_load_table, [Tab]) ->
    case mnesia:force_load_table(atom(Tab)) of yes -> <<"ok">>; {error, Reason} -> [<<"aborted">>, reason(Reason)] end;
do(add_table_index, [Tab, Field]) -> schema(mnesia:add_table_index(atom(Tab), atom(Field)));
do(del_table_index, [Tab, Field]) -> schema(mnesia:del_table_index(atom(Tab), atom(Field)));
do(change_table_copy_type, [Tab, Copies]) -> schema(mnesia:change_table_copy_type(atom(Tab), node(), atom(Copies)));
do(change_table_copy_type, [Tab, Copies, Node]) -> schema(mnesia:change_table_copy_type(atom(Tab), full(Node), atom(Copies)));
do(add_table_copy, [Tab, Node, Copies]) -> schema(mnesia:add_table_copy(atom(Tab), full(Node), atom(Copies)));
do(del_table_copy, [Tab, Node]) -> schema(mnesia:del_table_copy(atom(Tab), full(Node)));
do(move_table_copy, [Tab, From, To]) -> schema(mnesia:move_table_copy(atom(Tab), full(From), full(To)));
do(table_info, [Tab, <<"where_to_read">>]) ->
    case mnesia:table_info(atom(Tab), where_to_read) of nowhere -> null; Node -> short(Node) end;
do(table_info, [Tab, Item]) when Item =:= <<"where_to_write">>; Item =:= <<"ram_copies">>; Item =:= <<"disc_copies">> ->
    shorts(mnesia:table_info(atom(Tab), atom(Item)));
do(system_info, [Item]) -> shorts(mnesia:system_info(atom(Item)));
do(table_info, [Tab, <<"index">>]) -> [field(Position) || Position <- lists:sort(mnesia:table_info(atom(Tab), index))];
do(table_info, [Tab, Item]) ->
    case mnesia:table_info(atom(Tab), atom(Item)) of
        Value when is_atom(Value), not is_boolean(Value) -> atom_to_binary(Value);
        Value -> Value
    end;
do(memory_grows, [Tab, Row]) ->
    Before = mnesia:table_info(atom(Tab), memory),
    ok = mnesia:dirty_write(record(Tab, Row)),
    Before > 0 andalso mnesia:table_info(atom(Tab), memory) > Before;
do(system_info_tables, []) -> [atom_to_binary(Tab) || Tab <- mnesia:system_info(tables) -- [schema]];
do(wait_for_tables, [Tabs, TimeoutMs]) ->
    case mnesia:wait_for_tables([atom(Tab) || Tab <- Tabs], TimeoutMs) of
        ok -> <<"ok">>;
        {timeout, Missing} -> [<<"timeout">>, [atom_to_binary(Tab) || Tab <- Missing]];
        {error, Reason} -> [<<"aborted">>, reason(Reason)]
    end;
do(set_master_nodes, []) -> ok = mnesia:set_master_nodes([node()]), ok = mnesia:set_master_nodes([]), <<"ok">>;
do(set_master_nodes, [Nodes]) -> done(mnesia:set_master_nodes([full(Node) || Node <- Nodes]));
do(dirty_read, [Tab, Key]) -> rows(mnesia:dirty_read(atom(Tab), Key));
do(dirty_delete, [Tab, Key]) -> done(mnesia:dirty_delete(atom(Tab), Key));
do(dirty_next, [Tab, Key]) -> key(mnesia:dirty_next(atom(Tab), Key));
do(dirty_prev, [Tab, Key]) -> key(mnesia:dirty_prev(atom(Tab), Key));
do(dirty_write, [Tab, Row]) -> done(mnesia:dirty_write(record(Tab, Row)));
do(dirty_delete_object, [Tab, Row]) -> done(mnesia:dirty_delete_object(record(Tab, Row)));
do(dirty_match_object, [Tab, Pattern]) -> rows(mnesia:dirty_match_object(pattern(Tab, Pattern)));
do(dirty_index_match_object, [Tab, Pattern, Field]) ->
    rows(mnesia:dirty_index_match_object(pattern(Tab, Pattern), position(Field)));
do(dirty_select, [Tab, Than]) -> rows(mnesia:dirty_select(atom(Tab), greater(Tab, Than)));
do(dirty_index_read, [Tab, Value, Field]) -> rows(mnesia:dirty_index_read(atom(Tab), Value, position(Field)));
do(dirty_all_keys, [Tab]) -> mnesia:dirty_all_keys(atom(Tab));
do(dirty_first, [Tab]) -> key(mnesia:dirty_first(atom(Tab)));
do(dirty_last, [Tab]) -> key(mnesia:dirty_last(atom(Tab)));
do(transaction, [Steps]) -> outcome(mnesia:transaction(fun() -> steps(Steps) end));
do(transaction_once, [Steps]) -> outcome(mnesia:transaction(fun() -> steps(Steps) end, 0));
do(sync_transaction, [Steps]) -> outcome(mnesia:sync_transaction(fun() -> steps(Steps) end));
do(together, [Times, Transactions]) ->
    Runs = [spawn_monitor(fun() -> {atomic, _} = mnesia:transaction(fun() -> steps(Steps) end) end)
            || Steps <- Transactions, _ <- lists:seq(1, Times)],
    [receive {'DOWN', Monitor, process, Pid, normal} -> <<"ok">> end || {Pid, Monitor} <- Runs];
do(held, [Steps, Meanwhile]) ->
    held(Steps, fun() -> outcome(mnesia:transaction(fun() -> steps(Meanwhile) end, 0)) end);
do(held_dirty, [Steps, Operation]) ->
    held(Steps, fun() -> outside(Operation) end);
do(held_at, [Steps, Node, Meanwhile]) ->
    held(Steps, fun() -> mnesia_cluster:ask(full(Node), [<<"transaction_once">>, Meanwhile]) end);
do(subscribe_system, []) -> {ok, _} = mnesia:subscribe(system), <<"ok">>;
do(system_events, [Count]) -> system_events(Count, 3000);
do(subscribe, [Tab]) ->
    case mnesia:subscribe({table, atom(Tab), detailed}) of {ok, _} -> <<"ok">>; {error, Reason} -> [<<"aborted">>, reason(Reason)] end;
do(unsubscribe, [Tab]) -> {ok, _} = mnesia:unsubscribe({table, atom(Tab), detailed}), <<"ok">>;
do(events, []) -> events();
do(backup, [File, _]) -> done(mnesia:backup(file(File)));
do(restore, [File, Operation]) ->
    {atomic, _} = mnesia:restore(file(File), [{default_op, atom(Operation)}, {skip_tables, [schema]}]),
    <<"ok">>;
do(dump_to_textfile, [File]) -> done(mnesia:dump_to_textfile(file(File)));
do(load_textfile, [File]) -> {atomic, ok} = mnesia:load_textfile(file(File)), <<"ok">>;
do(restart, []) ->
    stopped = mnesia:stop(),
    ok = mnesia:start(),
    ok = mnesia:wait_for_tables(mnesia:system_info(tables), 10000),
    <<"ok">>.

held(Steps, Meanwhile) ->
    Self = self(),
    {Pid, Monitor} = spawn_monitor(fun() ->
        exit(outcome(mnesia:transaction(fun() ->
            Results = steps(Steps),
            Self ! {held, self()},
            receive go_on -> Results end
        end)))
    end),
    receive {held, Pid} -> ok end,
    Other = Meanwhile(),
    Pid ! go_on,
    receive {'DOWN', Monitor, process, Pid, Held} -> [Held, Other] end.

steps(Steps) ->
    [step(binary_to_atom(Name), Args) || [Name | Args] <- Steps].

step(read, [Tab, Key]) -> rows(mnesia:read(atom(Tab), Key));
step(wread, [Tab, Key]) -> rows(mnesia:wread({atom(Tab), Key}));
step(delete, [Tab, Key]) -> done(mnesia:delete({atom(Tab), Key}));
step(next, [Tab, Key]) -> key(mnesia:next(atom(Tab), Key));
step(prev, [Tab, Key]) -> key(mnesia:prev(atom(Tab), Key));
step(write, [Tab, Row]) -> done(mnesia:write(record(Tab, Row)));
step(delete_object, [Tab, Row]) -> done(mnesia:delete_object(record(Tab, Row)));
step(match_object, [Tab, Pattern]) -> rows(mnesia:match_object(pattern(Tab, Pattern)));
step(select, [Tab, Than]) -> rows(mnesia:select(atom(Tab), greater(Tab, Than)));
step(index_read, [Tab, Value, Field]) -> rows(mnesia:index_read(atom(Tab), Value, position(Field)));
step(all_keys, [Tab]) -> mnesia:all_keys(atom(Tab));
step(first, [Tab]) -> key(mnesia:first(atom(Tab)));
step(last, [Tab]) -> key(mnesia:last(atom(Tab)));
step(foldl, [Tab]) -> lists:reverse(mnesia:foldl(fun(Record, Keys) -> [element(2, Record) | Keys] end, [], atom(Tab)));
step(read_lock_table, [Tab]) -> mnesia:read_lock_table(atom(Tab)), <<"ok">>;
step(write_lock_table, [Tab]) -> mnesia:write_lock_table(atom(Tab)), <<"ok">>;
step(add, [Tab, Key, By]) ->
    V = case mnesia:wread({atom(Tab), Key}) of [{_, _, V0, _}] -> V0; [] -> 0 end,
    done(mnesia:write(record(Tab, [Key, V + By, <<>>])));
step(abort, [Reason]) -> mnesia:abort(Reason);
step(crash, []) -> error(crash);
step(transaction, [Steps]) -> outcome(mnesia:transaction(fun() -> steps(Steps) end)).

events() ->
    receive
        %% clear_table is told as a change of the schema.
        {mnesia_table_event, Event} when element(2, Event) =:= schema -> events();
        {mnesia_table_event, {write, _, New, Old, _}} ->
            [[<<"write">>, row(New), rows([Record || Record <- Old, element(1, New) =:= element(1, Record)])] | events()];
        {mnesia_table_event, {delete, _, _, Old, _}} -> [[<<"delete">>, row(Record)] || Record <- Old] ++ events()
    after 20 -> []
    end.

%% So many, and those that come right behind.
system_events(Count, WithinMs) ->
    receive
        {mnesia_system_event, {inconsistent_database, Context, Node}} ->
            [[<<"inconsistent_database">>, atom_to_binary(Context), short(Node)] | system_events(Count - 1, within(Count))];
        {mnesia_system_event, {Tag, Node}} when Tag =:= mnesia_up; Tag =:= mnesia_down ->
            [[atom_to_binary(Tag), short(Node)] | system_events(Count - 1, within(Count))];
        {mnesia_system_event, _} -> system_events(Count, WithinMs)
    after WithinMs -> []
    end.

within(Count) when Count > 1 -> 3000;
within(_) -> 50.

schema({atomic, ok}) -> <<"ok">>;
schema({aborted, Reason}) -> [<<"aborted">>, reason(Reason)].

outcome({atomic, Value}) -> [<<"atomic">>, Value];
outcome({aborted, Reason}) -> [<<"aborted">>, reason(Reason)].

reason(Reason) when is_binary(Reason) -> Reason;
reason(nomore) -> <<"too_many_retries">>;
reason({Reason, _}) when Reason =:= no_exists; Reason =:= already_exists -> atom_to_binary(Reason);
reason({Reason, _, _}) when Reason =:= no_exists; Reason =:= already_exists -> atom_to_binary(Reason);
reason({Reason, _, _, _}) when Reason =:= no_exists; Reason =:= already_exists -> atom_to_binary(Reason);
reason({badarg, _}) -> <<"badarg">>;
reason({badarg, _, _}) -> <<"badarg">>;
reason({not_active, _, _}) -> <<"not_active">>;
reason({not_active, _, _, _}) -> <<"not_active">>;
reason({bad_type, _, _}) -> <<"bad_type">>;
reason({crash, _Stack}) -> <<"error">>;
reason(Other) -> unicode:characters_to_binary(io_lib:format("~0p", [Other])).

done(ok) -> <<"ok">>.
key('$end_of_table') -> null;
key(Key) -> Key.
rows(Records) -> [row(Record) || Record <- Records].
row(Record) -> tl(tuple_to_list(Record)).
record(Tab, Row) -> list_to_tuple([atom(Tab) | Row]).
pattern(Tab, Pattern) -> list_to_tuple([atom(Tab) | [case Value of null -> '_'; _ -> Value end || Value <- Pattern]]).
greater(Tab, Than) -> [{{atom(Tab), '_', '$1', '_'}, [{'>', '$1', Than}], ['$_']}].
atom(Text) -> binary_to_atom(Text).
full(Name) -> binary_to_atom(<<Name/binary, "@127.0.0.1">>).
short(Node) -> hd(binary:split(atom_to_binary(Node), <<"@">>)).
shorts(Nodes) -> lists:sort([short(Node) || Node <- Nodes]).
position(Field) -> position(atom(Field), ?FIELDS, 2).
position(Field, [Field | _], N) -> N;
position(Field, [_ | Fields], N) -> position(Field, Fields, N + 1).
field(Position) -> atom_to_binary(lists:nth(Position - 1, ?FIELDS)).
file(Name) -> filename:join(get(folder), binary_to_list(Name)).
