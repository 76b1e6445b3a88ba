extension HTTPRequestContext: RemoteAddressed {}
