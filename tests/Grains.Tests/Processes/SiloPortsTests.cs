using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Phi3VCluster.Silo;

namespace Phi3VCluster.Grains.Tests.Processes;

/// <summary>A port that another program takes between the look at it and its use.</summary>
public sealed class SiloPortsTests
{
    [Fact]
    public async Task A_web_server_s_complaint_is_known()
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, ((IPEndPoint)taken.LocalEndpoint).Port));
        await using var server = builder.Build();

        var complaint = await Assert.ThrowsAsync<IOException>(() => server.StartAsync(TestContext.Current.CancellationToken));
        Assert.True(SiloPorts.WasTaken(complaint));
    }

    [Fact]
    public void A_socket_s_complaint_is_known_and_no_other()
    {
        Assert.True(SiloPorts.WasTaken(new InvalidOperationException("", new SocketException((int)SocketError.AddressAlreadyInUse))));
        Assert.False(SiloPorts.WasTaken(new IOException("disk full")));
        Assert.False(SiloPorts.WasTaken(new SocketException((int)SocketError.ConnectionRefused)));
    }
}
