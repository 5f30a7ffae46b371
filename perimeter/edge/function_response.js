// A stored answer was made under another request's id.
function handler(event) {
  var h = event.response.headers;
  h['x-request-id'] = { value: event.context.requestId };
  delete h['x-ringwall-unreached'];
  return event.response;
}
