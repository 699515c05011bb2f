import type { Random } from "../chaos/random.ts";
import { jsonTexts, texts } from "./values.ts";

/** As much of JSON Schema as the description of the API uses. */
export interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxItems?: number;
}

/** Writes JSON texts by a schema, of which parts may be wrong. */
export class JsonWriter {
  readonly #random: Random;
  readonly #named: Readonly<Record<string, Schema>>;
  /** Share of the values that are something else. */
  readonly #spoilt: number;

  /** @param named what `$ref` refers to, by the last part of the reference */
  constructor(random: Random, named: Readonly<Record<string, Schema>>, spoilt: number) {
    this.#random = random;
    this.#named = named;
    this.#spoilt = spoilt;
  }

  /** Some JSON text that a schema describes, but for what is spoilt. */
  write(schema: Schema): string {
    const random = this.#random;
    if (random.chance(this.#spoilt)) return random.pick(jsonTexts);
    const { $ref, anyOf, oneOf, properties, items, type, minimum = -10, maximum = 1e6 } = schema;
    if ($ref !== undefined) return this.write(this.#named[$ref.split("/").at(-1) ?? ""] ?? {});
    if (schema.const !== undefined) return JSON.stringify(schema.const);
    const choices = anyOf ?? oneOf;
    if (choices) return this.write(random.pick(choices));
    if (schema.enum) return JSON.stringify(random.pick(schema.enum));
    if (properties) return this.#object(properties, schema.required ?? []);
    if (items) return `[${Array.from({ length: random.between(0, 4) }, () => this.write(items)).join(",")}]`;
    if (type === "string") return JSON.stringify(random.pick(["a", "fuzz1", random.pick(texts)]));
    // The only one is the time that a reply is waited for.
    if (type === "integer") return String(random.between(minimum, Math.min(maximum, 1000)));
    if (type === "number") return String(minimum + random.next() * (Math.min(maximum, 1e12) - minimum));
    return random.pick(["1", '"text"', "null", '{"a":[1,2,{"b":null}]}', "-0.0", random.pick(jsonTexts)]);
  }

  #object(properties: Readonly<Record<string, Schema>>, required: readonly string[]): string {
    const random = this.#random;
    const isWanted = (name: string) => (required.includes(name) ? !random.chance(this.#spoilt) : random.chance(0.4));
    const members = Object.entries(properties)
      .filter(([name]) => isWanted(name))
      .map(([name, schema]) => `${JSON.stringify(name)}:${this.write(schema)}`);
    if (random.chance(this.#spoilt)) members.push(`${JSON.stringify(random.pick(texts))}:1`);
    if (members.length > 0 && random.chance(this.#spoilt)) members.push(random.pick(members));
    return `{${members.join(",")}}`;
  }
}
