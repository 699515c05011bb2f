/** Reads the epoch, or begins one: then the offsets start anew, so whatever the log still holds must go. */
const readEpoch = (candidate: string) => `
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if not epoch then
  epoch = ${candidate}
  redis.call('HSET', KEYS[1], 'epoch', epoch)
  redis.call('DEL', KEYS[2])
end`;

/**
 * Publishes a message in one step: what was published under its idempotency key before, epoch, offset, history, PUBLISH. A
 * script is atomic in Redis, so no reader sees one without the others. Expiry: the log lives as long as history is kept,
 * its meta far longer, so that offsets go on counting in the same epoch. `lost` in the meta is the newest offset that
 * history no longer holds although it mattered: behind it everything is there.
 *
 * - KEYS: the stream's meta (hash: epoch, offset, lost), its log (stream: entry id OFFSET-0, fields m and c), its newest
 *   offsets by collapse key (hash), the record of the idempotency key (hash: fingerprint, source, number, receivers)
 * - ARGV: 1 channel, 2 epoch to use if there is none, 3 record, 4 history size, 5 history ms, 6 meta ms, 7 connections here,
 *   8 whether this replica is subscribed (0 or 1), 9 collapse key, 10 SOURCE and 11 SEQUENCE of a live-only message,
 *   12 fingerprint, 13 ms to remember it; 9, 10 and 12 are empty where there is none
 * - returns: new, replayed or conflict; epoch or source; offset or sequence; receivers
 *
 * @see https://redis.io/docs/latest/commands/xadd/
 */
export const publishScript = `
if ARGV[12] ~= '' then
  local first = redis.call('HMGET', KEYS[4], 'fingerprint', 'source', 'number', 'receivers')
  if first[1] and first[1] ~= ARGV[12] then return { 'conflict', '', 0, 0 } end
  if first[1] then return { 'replayed', first[2], tonumber(first[3]), tonumber(first[4]) } end
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
local replicas = redis.call('PUBLISH', ARGV[1], kind .. ' ' .. source .. ' ' .. number .. ' ' .. ARGV[3])
local receivers = tonumber(ARGV[7]) + math.max(0, replicas - tonumber(ARGV[8]))
if ARGV[12] ~= '' then
  redis.call('HSET', KEYS[4], 'fingerprint', ARGV[12], 'source', source, 'number', number, 'receivers', receivers)
  redis.call('PEXPIRE', KEYS[4], ARGV[13])
end
return { 'new', source, number, receivers }
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
 * caller has been further in the same epoch, Redis has lost what it had acknowledged, in a failover or a restart: then a new
 * epoch begins, since the offsets that come again will name other messages.
 *
 * - KEYS: meta, log
 * - ARGV: epoch to use if there is none, meta ms, epoch and offset that the caller knows (empty and 0: none)
 * - returns: epoch, offset
 */
export const positionScript = `${readEpoch("ARGV[1]")}
local offset = tonumber(redis.call('HGET', KEYS[1], 'offset') or 0)
if epoch == ARGV[3] and offset < tonumber(ARGV[4]) then
  epoch = ARGV[1]
  redis.call('HSET', KEYS[1], 'epoch', epoch)
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return { epoch, offset }
`;

/**
 * Reads a piece of history together with where it stands, so that both are of one moment.
 *
 * - KEYS: meta, log
 * - ARGV: first offset wanted, most entries, epoch to use if there is none, meta ms
 * - returns: epoch, newest offset, newest offset lost, entries as XRANGE returns them
 */
export const historyScript = `${readEpoch("ARGV[3]")}
redis.call('PEXPIRE', KEYS[1], ARGV[4])
local meta = redis.call('HMGET', KEYS[1], 'offset', 'lost')
local last, lost = tonumber(meta[1] or 0), tonumber(meta[2] or 0)
if redis.call('EXISTS', KEYS[2]) == 0 then lost = last end
return { epoch, last, lost, redis.call('XRANGE', KEYS[2], ARGV[1] .. '-0', '+', 'COUNT', ARGV[2]) }
`;
