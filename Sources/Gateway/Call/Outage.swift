/// What a browser's leg has lost of its ways to us. While there is one its call is held.
struct Outage {
  /// The connection of its signalling has closed and no other has come.
  var isCutOff = false
  /// ICE or DTLS says that the media path is gone.
  var isBroken = false
  /// The far end closed its media: it hangs up, or its page goes.
  var isClosed = false
  /// Nothing has come by the media path for half a second; only asked while cut off or closed, as a held far end may be
  /// silent.
  var isSilent = false
  /// An offer with new ICE credentials is on its way, theirs or ours.
  var isBeingMended = false
  /// Packets received when it was last looked.
  var packets = 0

  /// Whether the far end cannot be heard: the other side gets music.
  var isMute: Bool { isBroken || isSilent }
  var isOver: Bool { !isCutOff && !isMute && !isClosed }
}
