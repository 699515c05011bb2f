import { maxReminders } from "./reminders.ts";

/** Messages of a stream that may be held back, beside as many as its history holds. */
const maxHeld = 10_000;

/** How messages travel: pub/sub, or sharded pub/sub, which keeps a message on the nodes of a cluster that serve its stream. */
export type PublishCommand = "PUBLISH" | "SPUBLISH";

const numberOfSubscribers = (publish: PublishCommand) => (publish === "PUBLISH" ? "NUMSUB" : "SHARDNUMSUB");

/*
 * What is kept of a stream:
 *
 * - its meta, a hash. `epoch`; `line`: the first epoch, which stays when a part of the stream is lost and the epoch changes;
 *   `offset` of the newest message; `lost`: the newest offset that history no longer holds although it mattered, behind it
 *   everything is there; `held`: the first offset that nobody may see yet, and `holder`: the master that holds it back;
 *   `acked`: EPOCH-OFFSET up to which its user has acked it
 * - its log, a stream: entry id OFFSET-0, fields m (the record) and c (its collapse key)
 * - the newest offset of each collapse key, a hash
 * - a record for each idempotency key, a hash: fingerprint; source: the line, or the source of a live-only message; number;
 *   receivers, empty as long as the message is held back
 *
 * A message that waits for replicas is stored, but takes its place (collapse, limit of the history, PUBLISH) when it is
 * released, so what comes to nothing has changed nothing. A master that was promoted, or has started again, is another
 * holder: what it has is what there is, and is held back no longer.
 */

/** The master that this is, in this life. @see https://redis.io/docs/latest/commands/info/ */
const me = "string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)') or ''";

/** Variables that {@link readMeta} sets. */
const metaVariables = "local epoch, line, last, lost, held";

/**
 * Reads the meta: `last` is the newest offset, `held` nil when nothing is held back. A stream without epoch begins one: then
 * the offsets start anew, so whatever the log still holds must go.
 */
const readMeta = (candidate: string) => `
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'line', 'offset', 'lost', 'held', 'holder')
epoch, line, last, lost, held = meta[1], meta[2], tonumber(meta[3]) or 0, tonumber(meta[4]) or 0, tonumber(meta[5])
if not epoch then
  epoch, line = ${candidate}, ${candidate}
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'line', line)
  redis.call('DEL', KEYS[2])
end
if held and meta[6] ~= (${me}) then held = nil end`;

/**
 * Functions that give messages their place. `show` takes the place of the older message with its collapse key and sends it;
 * `trim` keeps the history to its size; `release` shows what is held back up to an offset.
 */
const placing = (publish: PublishCommand, argv: { channel: number; size: number; ttlMs: number }) => `
local function show(offset, record, key)
  if key and key ~= '' then
    local older = redis.call('HGET', KEYS[3], key)
    if older then redis.call('XDEL', KEYS[2], older .. '-0') end
    redis.call('HSET', KEYS[3], key, offset)
    redis.call('PEXPIRE', KEYS[3], ARGV[${argv.ttlMs}])
  end
  return redis.call('${publish}', ARGV[${argv.channel}], 'm ' .. epoch .. ' ' .. offset .. ' ' .. record)
end
local function trim(held)
  local excess = redis.call('XLEN', KEYS[2]) - held - tonumber(ARGV[${argv.size}])
  if excess <= 0 then return end
  for _, entry in ipairs(redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', math.min(excess, 1000))) do
    local offset, fields = string.match(entry[1], '^%d+'), entry[2]
    if fields[4] and redis.call('HGET', KEYS[3], fields[4]) == offset then redis.call('HDEL', KEYS[3], fields[4]) end
    redis.call('XDEL', KEYS[2], entry[1])
    redis.call('HSET', KEYS[1], 'lost', offset)
  end
end
local function release(first, upto, last)
  repeat
    local entries = redis.call('XRANGE', KEYS[2], first .. '-0', upto .. '-0', 'COUNT', 100)
    for _, entry in ipairs(entries) do
      local offset = string.match(entry[1], '^%d+')
      show(offset, entry[2][2], entry[2][4])
      first = offset + 1
    end
  until #entries < 100
  if upto < last then redis.call('HSET', KEYS[1], 'held', upto + 1) else redis.call('HDEL', KEYS[1], 'held', 'holder') end
  trim(last - upto)
end`;

/**
 * Publishes a message in one step: what was published under its idempotency key before, epoch, offset, history, PUBLISH. A
 * script is atomic in Redis, so no reader sees one without the others. Expiry: the log lives as long as history is kept,
 * its meta far longer, so that offsets go on counting in the same epoch. An idempotency key counts as long as its message
 * is there.
 *
 * - KEYS: meta, log, collapse keys, record of the idempotency key
 * - ARGV: 1 channel, 2 epoch to use if there is none, 3 record, 4 history size, 5 history ms, 6 meta ms, 7 connections here,
 *   8 whether this replica is subscribed (0 or 1), 9 collapse key, 10 SOURCE and 11 SEQUENCE of a live-only message,
 *   12 fingerprint, 13 ms to remember it, 14 whether to hold it back (1: yes); 9, 10 and 12 are empty where there is none
 * - returns: new; replayed; waiting, which is replayed and held back still; conflict; or full, when too many are held back;
 *   epoch or source; offset or sequence; receivers
 *
 * @see https://redis.io/docs/latest/commands/xadd/
 */
export const publishScript = (publish: PublishCommand) => `
local hold, live, once = ARGV[14] == '1', ARGV[10] ~= '', ARGV[12] ~= ''
${metaVariables}
if not live then${readMeta("ARGV[2]")}
end
${placing(publish, { channel: 1, size: 4, ttlMs: 5 })}
if once then
  local first = redis.call('HMGET', KEYS[4], 'fingerprint', 'source', 'number', 'receivers')
  if first[1] and first[1] ~= ARGV[12] then return { 'conflict', '', 0, 0 } end
  local number = tonumber(first[3])
  if first[1] and (live or first[2] == line and number <= last) then
    local source, receivers = epoch or first[2], tonumber(first[4])
    if receivers then return { 'replayed', source, number, receivers } end
    if hold then redis.call('HSET', KEYS[4], 'fingerprint', ARGV[12])
    elseif held and held <= number then release(held, number, last) end
    return { hold and 'waiting' or 'replayed', source, number, 0 }
  end
end
local source, number, receivers = epoch or ARGV[10], tonumber(ARGV[11]), ''
if live then
  local replicas = redis.call('${publish}', ARGV[1], 'l ' .. source .. ' ' .. number .. ' ' .. ARGV[3])
  receivers = tonumber(ARGV[7]) + math.max(0, replicas - tonumber(ARGV[8]))
else
  if hold and held and last - held >= tonumber(ARGV[4]) + ${maxHeld} then return { 'full', '', 0, 0 } end
  number = redis.call('HINCRBY', KEYS[1], 'offset', 1)
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
  if number > 1 and redis.call('EXISTS', KEYS[2]) == 0 then redis.call('HSET', KEYS[1], 'lost', number - 1) end
  if ARGV[9] == '' then redis.call('XADD', KEYS[2], number .. '-0', 'm', ARGV[3])
  else redis.call('XADD', KEYS[2], number .. '-0', 'm', ARGV[3], 'c', ARGV[9]) end
  redis.call('PEXPIRE', KEYS[2], ARGV[5])
  if hold then
    if not held then redis.call('HSET', KEYS[1], 'held', number, 'holder', ${me}) end
  else
    if held then release(held, last, last) end
    receivers = tonumber(ARGV[7]) + math.max(0, show(number, ARGV[3], ARGV[9]) - tonumber(ARGV[8]))
    trim(0)
  end
end
if once then
  redis.call('HSET', KEYS[4], 'fingerprint', ARGV[12], 'source', line or source, 'number', number, 'receivers', receivers)
  redis.call('PEXPIRE', KEYS[4], ARGV[13])
end
return { 'new', source, number, tonumber(receivers) or 0 }
`;

/**
 * Lets a message that was held back be seen, and those before it that nobody released, in their order.
 *
 * - KEYS: meta, log, collapse keys, record of the idempotency key
 * - ARGV: 1 channel, 2 epoch, 3 offset, 4 history size, 5 history ms, 6 connections here, 7 whether this replica is subscribed
 *   (0 or 1)
 * - returns: receivers; -1 when the message is not there any more
 */
export const releaseScript = (publish: PublishCommand) => `
if redis.call('EXISTS', KEYS[1]) == 0 then return -1 end
${metaVariables}${readMeta("ARGV[2]")}
local offset = tonumber(ARGV[3])
if epoch ~= ARGV[2] or last < offset then return -1 end
${placing(publish, { channel: 1, size: 4, ttlMs: 5 })}
if held and held <= offset then release(held, offset, last) end
local replicas = redis.call('PUBSUB', '${numberOfSubscribers(publish)}', ARGV[1])[2]
local receivers = tonumber(ARGV[6]) + math.max(0, replicas - tonumber(ARGV[7]))
if redis.call('EXISTS', KEYS[4]) == 1 then
  local first = tonumber(redis.call('HGET', KEYS[4], 'receivers') or '')
  if first then return first end
  redis.call('HSET', KEYS[4], 'receivers', receivers)
end
return receivers
`;

/**
 * Sends something to a channel if this node may write: a replica, or a node that no longer serves the channel, refuses.
 *
 * - KEYS: a key that may be overwritten
 * - ARGV: channel, message, ms that the key lives
 * - returns: receivers
 */
export const probeScript = (publish: PublishCommand) => `
redis.call('SET', KEYS[1], '', 'PX', ARGV[3])
return redis.call('${publish}', ARGV[1], ARGV[2])
`;

/**
 * Remembers an idempotency key, unless it is remembered already. SET with NX and GET together needs Redis 7.
 *
 * - KEYS: the record of the key
 * - ARGV: fingerprint, ms to remember it
 * - returns: the fingerprint that is remembered
 */
export const claimScript = `
redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])
return redis.call('GET', KEYS[1])
`;

/**
 * Reads a stream's position and gives a stream without one its epoch, so that a client can resume from offset 0. Where the
 * caller has been further in the same epoch, or another message stands in the place of one that it saw, Redis has
 * lost what it had acknowledged, in a failover or a restart: then a new epoch begins, since offsets name other messages
 * than they did. A stream that is there is read also where Redis takes no writes.
 *
 * - KEYS: meta, log
 * - ARGV: epoch to use if there is none, meta ms, epoch and offset that the caller knows (empty and 0: none), channel, and of
 *   some messages that it saw the offset and the time at which it was accepted, in turn
 * - returns: epoch, offset of the newest message that may be seen, the time at which it was accepted (0: it is not there),
 *   subscribers to the channel
 */
export const positionScript = (publish: PublishCommand) => `${metaVariables}${readMeta("ARGV[1]")}
local known = tonumber(ARGV[4])
local isGone = epoch == ARGV[3] and last < known
for i = 6, epoch == ARGV[3] and #ARGV or 0, 2 do
  local entry = redis.call('XRANGE', KEYS[2], ARGV[i] .. '-0', ARGV[i] .. '-0')[1]
  isGone = isGone or entry and string.match(entry[2][2], '^%d+') ~= ARGV[i + 1]
end
if isGone then
  epoch = ARGV[1]
  redis.call('HSET', KEYS[1], 'epoch', epoch)
end
redis.pcall('PEXPIRE', KEYS[1], ARGV[2])
if held then last = held - 1 end
local newest = redis.call('XRANGE', KEYS[2], last .. '-0', last .. '-0')[1]
local subscribers = redis.call('PUBSUB', '${numberOfSubscribers(publish)}', ARGV[5])[2]
return { epoch, last, newest and tonumber(string.match(newest[2][2], '^%d+')) or 0, subscribers }
`;

/**
 * Reads a piece of history together with where it stands, so that both are of one moment. Messages that are held back are
 * not there yet.
 *
 * - KEYS: meta, log
 * - ARGV: first offset wanted, most entries, epoch to use if there is none, meta ms
 * - returns: epoch, newest offset that may be seen, newest offset lost, entries as XRANGE returns them, `acked`
 */
export const historyScript = `${metaVariables}${readMeta("ARGV[3]")}
redis.pcall('PEXPIRE', KEYS[1], ARGV[4])
if held then last = held - 1 end
if redis.call('EXISTS', KEYS[2]) == 0 then lost = last end
local entries = redis.call('XRANGE', KEYS[2], ARGV[1] .. '-0', last .. '-0', 'COUNT', ARGV[2])
return { epoch, last, lost, entries, redis.call('HGET', KEYS[1], 'acked') or '' }
`;

/**
 * Keeps how far a stream was acked, if it was not further, and is in the same epoch.
 *
 * - KEYS: meta
 * - ARGV: epoch, offset
 */
export const ackedScript = `
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return end
local epoch, offset = string.match(redis.call('HGET', KEYS[1], 'acked') or '', '^(%w+)-(%d+)$')
if epoch == ARGV[1] and tonumber(offset) >= tonumber(ARGV[2]) then return end
redis.call('HSET', KEYS[1], 'acked', ARGV[1] .. '-' .. ARGV[2])
`;

/**
 * Keeps a reminder, unless it is kept already.
 *
 * - KEYS: the reminders, a sorted set by when they are due
 * - ARGV: text, when it is due, ms that the reminders live
 * - returns: 1 when it is kept; 0 when too many are
 */
export const remindScript = `
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  if redis.call('ZCARD', KEYS[1]) >= ${maxReminders} then return 0 end
  redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
`;

/**
 * Takes reminders that are due, and puts them off.
 *
 * - KEYS: the reminders
 * - ARGV: now, most to take, when they are due again
 * - returns: their texts
 */
export const takeDueScript = `
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
for _, text in ipairs(due) do redis.call('ZADD', KEYS[1], ARGV[3], text) end
return due
`;
