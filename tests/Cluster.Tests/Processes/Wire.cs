using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;

namespace Phi3VCluster.Cluster.Tests.Processes;

/// <summary>Sees what machines of <see cref="Machines"/> say to each other: all packets pass this one's bridge.</summary>
public sealed class Wire : IDisposable
{
    private const int EveryProtocol = 0x0300; // ETH_P_ALL in network order
    private const int EthernetBytes = 14, AddressOffset = 12, Ip4 = 0x0800, Tcp = 6;

    private readonly Socket _socket = new(AddressFamily.Packet, SocketType.Raw, (ProtocolType)EveryProtocol);
    private readonly byte[] _one, _other;
    private readonly int[] _without;
    private readonly MemoryStream _said = new();
    private readonly Thread _reader;

    /// <param name="one">A machine's address.</param>
    /// <param name="other">Another one's.</param>
    /// <param name="without">Ports whose connections are not looked at.</param>
    public Wire(string one, string other, params int[] without)
    {
        (_one, _other, _without) = (IPAddress.Parse(one).GetAddressBytes(), IPAddress.Parse(other).GetAddressBytes(), without);
        _socket.ReceiveBufferSize = 8 << 20;
        _reader = new Thread(Read) { IsBackground = true };
        _reader.Start();
    }

    /// <summary>What went both ways, packet after packet; some of it may be missing, and some be there twice.</summary>
    public byte[] Said
    {
        get
        {
            lock (_said) return _said.ToArray();
        }
    }

    public void Dispose()
    {
        _socket.Dispose();
        _reader.Join();
    }

    private void Read()
    {
        var packet = new byte[64 << 10];
        try
        {
            while (true) Keep(packet.AsSpan(0, _socket.Receive(packet)));
        }
        catch (Exception closed) when (closed is SocketException or ObjectDisposedException)
        {
            // The test is over.
        }
    }

    private void Keep(ReadOnlySpan<byte> packet)
    {
        if (packet.Length < EthernetBytes + 40 || BinaryPrimitives.ReadUInt16BigEndian(packet[12..]) != Ip4) return;
        var ip = packet[EthernetBytes..];
        var from = ip.Slice(AddressOffset, 4);
        var to = ip.Slice(AddressOffset + 4, 4);
        var isTheirs = (from.SequenceEqual(_one) && to.SequenceEqual(_other)) || (from.SequenceEqual(_other) && to.SequenceEqual(_one));
        if (ip[9] != Tcp || !isTheirs) return;
        var tcp = ip[((ip[0] & 15) * 4)..];
        if (IsLeftOut(tcp) || IsLeftOut(tcp[2..])) return;
        lock (_said) _said.Write(tcp[((tcp[12] >> 4) * 4)..]);
    }

    private bool IsLeftOut(ReadOnlySpan<byte> port) => _without.Contains(BinaryPrimitives.ReadUInt16BigEndian(port));
}
