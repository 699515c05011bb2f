/** Reads the epoch, or begins one: then the offsets start anew, so whatever the log still holds must go. */
const readEpoch = (candidate: string) => `
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if not epoch then
  epoch = ${candidate}
  redis.call('HSET', KEYS[1], 'epoch', epoch)
  redis.call('DEL', KEYS[2])
end`;

/** Somebody has seen the message with an offset, so it and what is before it is not held back. */
const releaseSeen = (known: string) => `
  if held and held <= ${known} then
    if ${known} < offset then
      held = ${known} + 1
      redis.call('HSET', KEYS[1], 'held', held)
    else
      held = nil
      redis.call('HDEL', KEYS[1], 'held')
    end
  end`;

/** How messages travel: pub/sub, or sharded pub/sub, which keeps a message on the nodes of a cluster that serve its stream. */
export type PublishCommand = "PUBLISH" | "SPUBLISH";

/**
 * Publishes a message in one step: what was published under its idempotency key before, epoch, offset, history, PUBLISH. A
 * script is atomic in Redis, so no reader sees one without the others. Expiry: the log lives as long as history is kept,
 * its meta far longer, so that offsets go on counting in the same epoch. `lost` in the meta is the newest offset that
 * history no longer holds although it mattered: behind it everything is there. `held` is the first offset that is stored
 * and not to be seen by anybody yet, see {@link releaseScript}. An idempotency key counts as long as its message is there,
 * in this epoch or as part of what was `kept` from the one `before` it.
 *
 * - KEYS: the stream's meta (hash: epoch, offset, lost, held), its log (stream: entry id OFFSET-0, fields m and c), its
 *   newest offsets by collapse key (hash), the record of the idempotency key (hash: fingerprint, source, number, receivers)
 * - ARGV: 1 channel, 2 epoch to use if there is none, 3 record, 4 history size, 5 history ms, 6 meta ms, 7 connections here,
 *   8 whether this replica is subscribed (0 or 1), 9 collapse key, 10 SOURCE and 11 SEQUENCE of a live-only message,
 *   12 fingerprint, 13 ms to remember it, 14 whether to hold it back (1: yes); 9, 10 and 12 are empty where there is none
 * - returns: new, replayed or conflict; epoch or source; offset or sequence; receivers
 *
 * @see https://redis.io/docs/latest/commands/xadd/
 */
export const publishScript = (publish: PublishCommand) => `
if ARGV[12] ~= '' then
  local first = redis.call('HMGET', KEYS[4], 'fingerprint', 'source', 'number', 'receivers')
  if first[1] and first[1] ~= ARGV[12] then return { 'conflict', '', 0, 0 } end
  local source, number = first[2], tonumber(first[3])
  if first[1] and ARGV[10] == '' then
    local meta = redis.call('HMGET', KEYS[1], 'epoch', 'before', 'kept')
    if source == meta[2] and number <= tonumber(meta[3]) then source = meta[1] end
    if source ~= meta[1] then first = {} end
  end
  if first[1] then
    if ARGV[14] == '1' then redis.call('HSET', KEYS[4], 'fingerprint', ARGV[12]) end
    return { 'replayed', source, number, tonumber(first[4]) or 0 }
  end
end
local source, number, kind = ARGV[10], tonumber(ARGV[11]), 'l'
if source == '' then${readEpoch("ARGV[2]")}
  source, number, kind = epoch, redis.call('HINCRBY', KEYS[1], 'offset', 1), 'm'
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
  if number > 1 and redis.call('EXISTS', KEYS[2]) == 0 then redis.call('HSET', KEYS[1], 'lost', number - 1) end
  if ARGV[9] == '' then
    redis.call('XADD', KEYS[2], number .. '-0', 'm', ARGV[3])
  else
    local older = redis.call('HGET', KEYS[3], ARGV[9])
    redis.call('XADD', KEYS[2], number .. '-0', 'm', ARGV[3], 'c', ARGV[9])
    if older then redis.call('XDEL', KEYS[2], older .. '-0') end
    redis.call('HSET', KEYS[3], ARGV[9], number)
    redis.call('PEXPIRE', KEYS[3], ARGV[5])
  end
  redis.call('PEXPIRE', KEYS[2], ARGV[5])
  local excess = redis.call('XLEN', KEYS[2]) - tonumber(ARGV[4])
  if excess > 0 then
    for _, entry in ipairs(redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', math.min(excess, 1000))) do
      local offset, fields = string.match(entry[1], '^%d+'), entry[2]
      if fields[4] and redis.call('HGET', KEYS[3], fields[4]) == offset then redis.call('HDEL', KEYS[3], fields[4]) end
      redis.call('XDEL', KEYS[2], entry[1])
      redis.call('HSET', KEYS[1], 'lost', offset)
    end
  end
end
local receivers = ''
if kind == 'm' and ARGV[14] == '1' then
  redis.call('HSETNX', KEYS[1], 'held', number)
else
  if kind == 'm' then redis.call('HDEL', KEYS[1], 'held') end
  local replicas = redis.call('${publish}', ARGV[1], kind .. ' ' .. source .. ' ' .. number .. ' ' .. ARGV[3])
  receivers = tonumber(ARGV[7]) + math.max(0, replicas - tonumber(ARGV[8]))
end
if ARGV[12] ~= '' then
  redis.call('HSET', KEYS[4], 'fingerprint', ARGV[12], 'source', source, 'number', number, 'receivers', receivers)
  redis.call('PEXPIRE', KEYS[4], ARGV[13])
end
return { 'new', source, number, tonumber(receivers) or 0 }
`;

/**
 * Lets a message that was held back be seen: it, and those before it that nobody released, go to the channel in their
 * order. When there are too many for one step only the last goes, and the replicas read the others from history.
 *
 * - KEYS: meta, log, the record of the idempotency key
 * - ARGV: 1 channel, 2 epoch, 3 offset, 4 connections here, 5 whether this replica is subscribed (0 or 1), 6 whether there is
 *   an idempotency key (0 or 1)
 * - returns: receivers; -1 when the message is not there any more
 */
export const releaseScript = (publish: PublishCommand) => `
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'offset', 'held')
local last, held, offset = tonumber(meta[2] or 0), tonumber(meta[3]), tonumber(ARGV[3])
if meta[1] ~= ARGV[2] or last < offset then return -1 end
if held and held <= offset then
  if offset - held >= 1000 then held = offset end
  for _, entry in ipairs(redis.call('XRANGE', KEYS[2], held .. '-0', offset .. '-0')) do
    redis.call('${publish}', ARGV[1], 'm ' .. ARGV[2] .. ' ' .. string.match(entry[1], '^%d+') .. ' ' .. entry[2][2])
  end
  if offset < last then redis.call('HSET', KEYS[1], 'held', offset + 1) else redis.call('HDEL', KEYS[1], 'held') end
end
local replicas = redis.call('PUBSUB', '${publish === "PUBLISH" ? "NUMSUB" : "SHARDNUMSUB"}', ARGV[1])[2]
local receivers = tonumber(ARGV[4]) + math.max(0, replicas - tonumber(ARGV[5]))
if ARGV[6] == '1' then
  local first = tonumber(redis.call('HGET', KEYS[3], 'receivers') or '')
  if first then return first end
  redis.call('HSET', KEYS[3], 'receivers', receivers)
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
 * caller has been further in the same epoch, or another message stands in the place of the last one that it saw, Redis has
 * lost what it had acknowledged, in a failover or a restart: then a new epoch begins, since offsets name other messages
 * than they did. What the caller has seen is no longer held back, whatever a failover has left.
 *
 * - KEYS: meta, log
 * - ARGV: epoch to use if there is none, meta ms, epoch and offset that the caller knows (empty and 0: none), time at which
 *   the message there was accepted (0: not known)
 * - returns: epoch, offset of the newest message that may be seen
 */
export const positionScript = `${readEpoch("ARGV[1]")}
local meta = redis.call('HMGET', KEYS[1], 'offset', 'held')
local offset, held, known = tonumber(meta[1] or 0), tonumber(meta[2]), tonumber(ARGV[4])
local lost = epoch == ARGV[3] and offset < known
if epoch == ARGV[3] and not lost and ARGV[5] ~= '0' then
  local entry = redis.call('XRANGE', KEYS[2], known .. '-0', known .. '-0')[1]
  lost = entry and string.match(entry[2][2], '^%d+') ~= ARGV[5]
end
if lost then
  redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'before', epoch, 'kept', offset)
  epoch = ARGV[1]
elseif epoch == ARGV[3] then${releaseSeen("known")}
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return { epoch, held and held - 1 or offset }
`;

/**
 * Reads a piece of history together with where it stands, so that both are of one moment. Messages that are held back are
 * not there yet, unless the caller asks for what comes behind one of them: then it has seen it.
 *
 * - KEYS: meta, log
 * - ARGV: first offset wanted, most entries, epoch to use if there is none, meta ms
 * - returns: epoch, newest offset, newest offset lost, entries as XRANGE returns them
 */
export const historyScript = `${readEpoch("ARGV[3]")}
redis.call('PEXPIRE', KEYS[1], ARGV[4])
local meta = redis.call('HMGET', KEYS[1], 'offset', 'lost', 'held')
local offset, lost, held = tonumber(meta[1] or 0), tonumber(meta[2] or 0), tonumber(meta[3])
local known = tonumber(ARGV[1]) - 1
if known <= offset then${releaseSeen("known")}
end
local last = held and held - 1 or offset
if redis.call('EXISTS', KEYS[2]) == 0 then lost = last end
return { epoch, last, lost, redis.call('XRANGE', KEYS[2], ARGV[1] .. '-0', last .. '-0', 'COUNT', ARGV[2]) }
`;
