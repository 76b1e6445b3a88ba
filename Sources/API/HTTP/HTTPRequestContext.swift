package import Core
package import Hummingbird
import NIOCore
import SIPTransport

/// What a route knows of a request beside the request itself.
package struct HTTPRequestContext: RequestContext {
  package var coreContext: CoreRequestContextStorage
  /// The peer, as the socket names it.
  package let remoteAddress: Core.SocketAddress?

  package init(source: ApplicationRequestContextSource) {
    coreContext = .init(source: source)
    remoteAddress = Core.SocketAddress(source.channel.remoteAddress)
  }
}
