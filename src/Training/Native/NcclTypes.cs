using System.Runtime.InteropServices;

namespace Phi3VCluster.Training.Native;

/// <summary>ncclResult_t.</summary>
internal enum NcclResult
{
    Success = 0, UnhandledCudaError = 1, SystemError = 2, InternalError = 3, InvalidArgument = 4, InvalidUsage = 5,
    RemoteError = 6, InProgress = 7,
}

/// <summary>ncclDataType_t, of those used here.</summary>
internal enum NcclType { Byte = 1, Float32 = 7 }

/// <summary>What the ranks of one communicator meet by; passed by value.</summary>
internal unsafe struct NcclUniqueId
{
    public const int Size = 128;

    public fixed byte Bytes[Size];
}

/// <summary>
/// ncclConfig_t as NCCL 2.21 knew it. Newer ones copy what <see cref="Size"/> says over their defaults and reset what is newer than
/// <see cref="Version"/>: one layout serves NCCL 2.17 to 2.30.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NcclConfig
{
    private const int Unset = int.MinValue;

    public nuint Size;
    public uint Magic, Version;
    public int Blocking, CgaClusterSize, MinChannels, MaxChannels;
    public nint NetName;
    public int SplitShare, TrafficClass;

    /// <summary>Calls return at once and say "in progress": no rank is held inside NCCL by a peer that does not come.</summary>
    public static NcclConfig NonBlocking => new()
    {
        Size = 48,
        Magic = 0xcafebeef,
        Version = 22105,
        Blocking = 0,
        CgaClusterSize = Unset,
        MinChannels = Unset,
        MaxChannels = Unset,
        SplitShare = Unset,
        TrafficClass = Unset,
    };
}
