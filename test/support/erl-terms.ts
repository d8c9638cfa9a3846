/**
 * A real Erlang that reads and writes terms for the tests: `erl` of the Debian package erlang-base, as a child that answers requests of a
 * letter and bytes over stdin and stdout, each with four bytes of length before it.
 */
import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'

/** True where Erlang is installed. */
export const HAS_ERL = spawnSync('erl', ['-version']).status === 0

/**
 * $r: the term of the bytes, encoded again; $0, $1, $2: with that minor_version; $d: deterministic.
 * $=: two terms one after the other: are they the same?
 * $g: the random term of a seed, without floats that are integral and safe, which we send as integers; $e: the value of an expression.
 * The answer begins with a letter: $o for ok, $e for what went wrong, as text.
 */
const SERVER = `
Eval = fun(Text) ->
  {ok, Tokens, _} = erl_scan:string(unicode:characters_to_list(Text)),
  {ok, Exprs} = erl_parse:parse_exprs(Tokens),
  {value, Value, _} = erl_eval:exprs(Exprs, erl_eval:new_bindings()),
  Value
end,
Pick = fun(List) -> lists:nth(rand:uniform(length(List)), List) end,
Leaf = fun() -> case rand:uniform(14) of
  1 -> rand:uniform(300) - 1;
  2 -> rand:uniform(1 bsl 40) - (1 bsl 39);
  3 -> (1 bsl rand:uniform(4000)) * Pick([1, -1]) + rand:uniform(1000);
  4 -> Pick([rand:normal() * math:pow(10, rand:uniform(55) - 50) + 0.123, (1 + rand:uniform()) * math:pow(10, 20 + rand:uniform(250))]);
  5 -> Pick([ok, true, false, undefined, null, nil, '', 'Hello world', constructor, '0']);
  6 -> list_to_atom([rand:uniform(16#d000) || _ <- lists:seq(1, rand:uniform(50))]);
  7 -> rand:bytes(rand:uniform(100) - 1);
  8 -> B = rand:bytes(rand:uniform(9)), N = bit_size(B) - rand:uniform(7), <<S:N/bitstring, _/bitstring>> = B, S;
  9 -> [rand:uniform(256) - 1 || _ <- lists:seq(1, rand:uniform(50))];
  10 -> Pick([self(), spawn(fun() -> ok end), list_to_pid("<0.1.2>")]);
  11 -> make_ref();
  12 -> Pick(erlang:ports());
  13 -> Pick([fun lists:map/2, fun erlang:'+'/2]);
  14 -> X = rand:uniform(1000), Y = {self(), make_ref()}, fun(Z) -> {X, Y, Z} end
end end,
Gen = fun Gen(0) -> Leaf(); Gen(Depth) ->
  More = fun(Max) -> [Gen(Depth - 1) || _ <- lists:seq(1, rand:uniform(Max + 1) - 1)] end,
  case rand:uniform(8) of
    1 -> list_to_tuple(More(6));
    2 -> More(6);
    3 -> maps:from_list([{K, Gen(Depth - 1)} || K <- More(4)]);
    4 -> maps:from_list([{Pick([a, b, c, d, e, true, null, 'Key']), V} || V <- More(40)]);
    5 -> More(3) ++ [Gen(Depth - 1) | rand:uniform(1000)];
    6 -> list_to_tuple(lists:duplicate(255 + rand:uniform(3), Gen(0)));
    7 -> {Gen(Depth - 1), Gen(Depth - 1)};
    8 -> Leaf()
  end
end,
Answer = fun
  ($r, B) -> term_to_binary(binary_to_term(B));
  ($d, B) -> term_to_binary(binary_to_term(B), [deterministic]);
  ($=, B) -> {One, Used} = binary_to_term(B, [used]), <<_:Used/binary, Rest/binary>> = B,
    case binary_to_term(Rest) of One -> <<"same">>; Other -> unicode:characters_to_binary(io_lib:format("~p~nis not~n~p", [One, Other])) end;
  ($g, B) -> rand:seed(exsss, binary_to_integer(B)), term_to_binary(Gen(4), [{minor_version, Pick([0, 1, 2])}]);
  ($e, B) -> term_to_binary(Eval(B));
  (Minor, B) -> term_to_binary(binary_to_term(B), [{minor_version, Minor - $0}])
end,
Port = open_port({fd, 0, 1}, [binary, {packet, 4}, eof]),
Loop = fun Loop() -> receive
  {Port, {data, <<Op, B/binary>>}} ->
    Reply = try [$o, Answer(Op, B)] catch C:R:S -> [$e, unicode:characters_to_binary(io_lib:format("~p", [{C, R, S}]))] end,
    port_command(Port, Reply),
    Loop();
  {Port, eof} -> halt();
  _ -> Loop()
end end,
Loop().
`

export class Erl {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>
  readonly #waiting: ((answer: Buffer | undefined) => void)[] = []
  #input = Buffer.alloc(0)

  constructor() {
    this.#child = spawn('erl', ['-noinput', '+S', '1', '-eval', SERVER], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#child.stdout.on('data', (chunk: Buffer) => this.#onData(chunk))
    this.#child.once('close', () => {
      for (const answer of this.#waiting.splice(0)) answer(undefined)
    })
  }

  /** Resolves with the answer's bytes; rejects with Erlang's error when it failed. */
  async ask(op: string, bytes: Uint8Array): Promise<Buffer> {
    const answer = await new Promise<Buffer | undefined>((resolve) => {
      this.#waiting.push(resolve)
      const head = Buffer.alloc(5)
      head.writeUInt32BE(bytes.length + 1)
      head.write(op, 4)
      this.#child.stdin.write(head)
      this.#child.stdin.write(bytes)
    })
    if (answer === undefined) throw new Error('erl has ended')
    if (answer[0] !== 'o'.charCodeAt(0)) throw new Error(`erl answers: ${answer.toString('utf8', 1)}`)
    return answer.subarray(1)
  }

  /** The value of an Erlang expression, which ends with a full stop, as term_to_binary writes it. */
  eval(expression: string): Promise<Buffer> {
    return this.ask('e', Buffer.from(expression))
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('close', resolve))
    this.#child.stdin.end()
    await ended
  }

  #onData(chunk: Buffer): void {
    this.#input = Buffer.concat([this.#input, chunk])
    while (this.#input.length >= 4) {
      const end = 4 + this.#input.readUInt32BE(0)
      if (this.#input.length < end) return
      const answer = this.#input.subarray(4, end)
      this.#input = this.#input.subarray(end)
      this.#waiting.shift()?.(answer)
    }
  }
}
