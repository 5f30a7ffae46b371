// The viewer's address decides; what a viewer says of itself counts for nothing.
var ADMINS = @ADMINS@;
var ALLOWED = @ALLOWED@;
var HOSTS = @HOSTS@;
var UNCACHED = @UNCACHED@;
var COOKIES = @COOKIES@;
var OURS = /^(?:@OURS@)$/;
var PREFIXES = /^(?:@PREFIXES@)/;
var SINGLE = @SINGLE@;
// CloudFront keeps these for itself.
var FIXED = /^(?:host|content-length|transfer-encoding|via|cdn-loop|cookie)$/;

// An address is its family and its groups of 16 bits; what is none is null.
function address(s) {
  var n, i, p, v4 = /^(.*:)?(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(s);
  if (v4) {
    for (i = 2; i < 6; i++) {
      if (+v4[i] > 255) return null;
    }
    n = [+v4[2] * 256 + +v4[3], +v4[4] * 256 + +v4[5]];
    if (!v4[1]) return { f: 4, g: n };
    s = v4[1] + n[0].toString(16) + ':' + n[1].toString(16);
  }
  p = s.split('::');
  if (p.length > 2) return null;
  var head = p[0] ? p[0].split(':') : [], tail = p.length > 1 && p[1] ? p[1].split(':') : [];
  var gap = 8 - head.length - tail.length;
  if (p.length > 1 ? gap < 1 : gap !== 0) return null;
  while (p.length > 1 && gap-- > 0) head.push('0');
  head = head.concat(tail);
  var g = [];
  for (i = 0; i < 8; i++) {
    if (!/^[0-9a-fA-F]{1,4}$/.test(head[i])) return null;
    g.push(parseInt(head[i], 16));
  }
  if (!g[0] && !g[1] && !g[2] && !g[3] && !g[4] && g[5] === 65535) return { f: 4, g: g.slice(6) };
  return { f: 6, g: g };
}

// A block is [family, bits, groups of 16 bits].
function inside(list, a) {
  for (var i = 0; a && i < list.length; i++) {
    var b = list[i], bits = b[1], k = 0;
    if (b[0] !== a.f) continue;
    while (bits >= 16 && a.g[k] === b[2 + k]) {
      bits -= 16;
      k++;
    }
    if (bits === 0 || bits < 16 && a.g[k] >> 16 - bits === b[2 + k] >> 16 - bits) return true;
  }
  return false;
}

function stripped(name) {
  if (OURS.test(name) || PREFIXES.test(name)) return true;
  var plain = name.replace(/[^a-z0-9]/g, '-');
  return plain !== name && (OURS.test(plain) || PREFIXES.test(plain) || FIXED.test(plain) || SINGLE.indexOf(plain) >= 0 || plain === 'x-request-id');
}

// A * stands for any characters.
function match(pattern, s) {
  var star = -1, mark = 0, i = 0, j = 0;
  while (j < s.length) {
    if (pattern[i] === '*') {
      star = i++;
      mark = j;
    } else if (i < pattern.length && pattern[i] === s[j]) {
      i++;
      j++;
    } else if (star >= 0) {
      i = star + 1;
      j = ++mark;
    } else return false;
  }
  while (pattern[i] === '*') i++;
  return i === pattern.length;
}

function any(list, s) {
  for (var i = 0; i < list.length; i++) {
    if (match(list[i], s)) return true;
  }
  return false;
}

function query(q) {
  if (typeof q.rawQueryString === 'function') return q.rawQueryString() || '';
  var out = [];
  for (var k in q.querystring) {
    (q.querystring[k].multiValue || [q.querystring[k]]).forEach(function (v) {
      out.push(v.value === '' ? k : k + '=' + v.value);
    });
  }
  return out.join('&');
}

// A path in another spelling must not enter the cache either.
function uncached(q) {
  var uri = q.uri, qs = query(q), plain;
  try {
    plain = decodeURIComponent(uri);
  } catch (e) {
    return true;
  }
  var parts = [];
  plain.split('/').forEach(function (s) {
    if (s === '..') parts.pop();
    else if (s !== '' && s !== '.') parts.push(s);
  });
  var clean = '/' + parts.join('/') + (parts.length && /\/\.{0,2}$/.test(plain) ? '/' : '');
  var all = [uri, plain, clean];
  if (qs) all = all.concat([uri + '?' + qs, clean + '?' + qs]);
  for (var i = 0; i < all.length; i++) {
    if (any(UNCACHED, all[i])) return true;
  }
  return false;
}

function refuse(event, status, text, words) {
  var h = event.request.headers, id = event.context.requestId, accept = h.accept ? h.accept.value : '';
  var json = accept.indexOf('json') >= 0;
  return {
    statusCode: status,
    statusDescription: text,
    headers: {
      'x-request-id': { value: id },
      'cache-control': { value: 'no-store' },
      'content-type': { value: json ? 'application/json' : 'text/plain; charset=utf-8' },
      'x-content-type-options': { value: 'nosniff' }
    },
    body: { encoding: 'text', data: json ? JSON.stringify({ class: words, request_id: id, status: status }) + '\n' : status + ' ' + text + '\n' + words + '\nrequest ' + id + '\n' }
  };
}

function handler(event) {
  var q = event.request, h = q.headers, who = address(event.viewer.ip), name, i;
  if (!h.host || HOSTS.indexOf(h.host.value.toLowerCase()) < 0) return refuse(event, 421, 'Misdirected Request', 'this site does not answer to that name');
  var admin = inside(ADMINS, who), some = false;
  if (ALLOWED && !inside(ALLOWED, who)) return refuse(event, 403, 'Forbidden', 'this site is not open to your address');
  if (!admin && !/^(?:GET|HEAD|POST|OPTIONS)$/.test(q.method)) return refuse(event, 403, 'Forbidden', 'this method is not allowed');
  for (i = 0; i < SINGLE.length; i++) {
    if (h[SINGLE[i]] && h[SINGLE[i]].multiValue && h[SINGLE[i]].multiValue.length > 1) return refuse(event, 400, 'Bad Request', 'the request is ambiguous');
  }
  Object.keys(h).forEach(function (name) {
    if (!FIXED.test(name) && stripped(name.toLowerCase())) delete h[name];
  });
  if (!admin) {
    for (name in q.cookies) {
      if (!any(COOKIES, name)) delete q.cookies[name];
    }
  }
  for (name in q.cookies) some = true;
  h['x-ringwall-viewer'] = { value: event.viewer.ip };
  h['x-ringwall-tier'] = { value: admin ? 'admin' : 'fleet' };
  h['x-request-id'] = { value: event.context.requestId };
  // A part of the cache's key: an answer that is not for everybody is found by nobody.
  h['x-ringwall-store'] = { value: admin || some || h.authorization || uncached(q) ? event.context.requestId : 'public' };
  return q;
}
