"""Words of customer service that mean much the same, in English and Chinese, so that few examples go further.

In: stems, pairs of stems and Chinese words. Out: concepts as numbers, and the keys of them and of their pairs. The
list is general vocabulary of shops, banks and delivery, written by hand; nothing in it is about one business. Per
concept: its name, then entries separated by commas, going on in indented lines. English entries are words or pairs of
words; Chinese ones have two or three characters, or are words that rjieba keeps whole.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from nlu.embedded.keys import CONCEPTS, hash_of, hashes_of_pairs, keys_of, packed_keys
from nlu.embedded.stemming import stem

_ENTRIES = """
pay: pay, paid, paying, payment, checkout, 付款, 支付, 付钱, 结账, 买单, 付费, 缴费, 给钱, 扣款
charge: charge, charged, deducted, deduct, debited, debit, billed, taken, took, 扣了, 扣钱, 扣款, 收了, 多扣, 被扣
fee: fee, charge, cost, price, surcharge, commission, extra, 手续费, 费用, 收费, 多少钱, 几块, 价格, 花费
price: price, cost, much, expensive, cheap, cheaper, 价格, 价钱, 多少钱, 几块钱, 贵, 便宜, 报价, 售价, 卖多少,
    怎么卖
free: free, gratis, complimentary, without charge, no charge, 免费, 不要钱, 不收费, 包邮, 不花钱
refund: refund, refunded, reimburse, money back, pay back, payback, 退款, 退钱, 返款, 退还, 钱退, 退回来, 返还
return: return, send back, give back, sent back, take back, bring back, 退货, 退回, 退掉, 寄回, 退了, 想退, 能退,
    不想要, 要退
exchange_item: swap, exchange, replace, replacement, another one, different size, 换货, 更换, 调换, 换一个, 换个,
    换成, 换大, 换小
convert: exchange, convert, conversion, currency, currencies, foreign, rate, forex, fx, 汇率, 兑换, 换汇, 外币,
    货币
delivery: delivery, deliver, delivered, shipping, ship, shipped, shipment, courier, dispatch, dispatched, post,
    posted, mail, mailed, postage, 配送, 送货, 发货, 快递, 物流, 寄, 寄出, 派送, 送到, 运费, 邮费, 邮寄, 送来,
    送上门, 运送, 到货, 包裹
shipping_fee: shipping fee, delivery fee, delivery cost, postage, shipping cost, delivery charge, 运费, 邮费,
    快递费, 送货费, 配送费, 邮资
parcel: parcel, package, box, packet, 包裹, 快件, 箱子, 盒子, 快递
arrive: arrive, arrived, arrival, come, came, receive, received, reach, get, got, turn up, show up, here yet, 到货,
    收到, 送到, 到了, 没到, 还没到, 签收, 到哪
late: late, delay, delayed, overdue, slow, long, waiting, still, yet, wait, ages, 迟, 延迟, 晚了, 太慢, 还没, 一直,
    拖, 超时, 等了, 好久, 很久
where: where, locate, location, find, track, tracking, whereabouts, 在哪, 哪里, 哪儿, 到哪, 查询, 追踪, 跟踪, 位置,
    地址
when: when, long, soon, time, day, date, hour, 什么时候, 几时, 多久, 哪天, 几天, 何时, 几号, 几点, 多长
fast: fast, quick, quickly, urgent, urgently, express, rush, asap, soon, instant, immediate, immediately, priority,
    加急, 快点, 尽快, 马上, 最快, 急用, 赶紧, 立刻, 特快, 次日
track: track, tracking, trace, status, progress, update, 查询, 进度, 状态, 跟踪, 单号, 查一下, 怎么样了
order: order, ordered, purchase, purchased, bought, buy, 订单, 下单, 购买, 买, 买的, 买了, 订购, 拍下, 拍了
cancel: cancel, cancelled, canceled, cancellation, revert, undo, reverse, stop, withdraw, abort, call off, 取消,
    撤销, 不要了, 撤回, 作废, 退订
change: change, edit, modify, update, amend, alter, switch, correct, new, different, 修改, 更改, 改一下, 更换, 变更,
    改成, 改, 更新, 换成, 换
address: address, moved, moving, move, residence, house, home, postcode, 地址, 搬家, 住址, 收货地址, 门牌
identity: identity, identification, verify, verification, verified, verifying, id, passport, document, proof, prove,
    confirm, 身份, 验证, 证件, 身份证, 实名, 认证, 护照
code: code, otp, sms, text message, passcode, pin, digits, 验证码, 短信码, 密码, 口令
password: password, passcode, pin, login, passphrase, 密码, 口令, 登录密码
forgot: forgot, forgotten, forget, remember, reset, lost password, 忘记, 忘了, 重置, 找回, 记不得, 想不起
login: login, log in, sign in, logged, signin, access, 登录, 登陆, 登不上, 登不进, 进不去, 登入
block: block, blocked, lock, locked, freeze, frozen, suspended, disabled, stuck, 锁定, 冻结, 封了, 被锁, 锁了, 停用
lost: lost, lose, losing, missing, misplaced, gone, disappeared, vanished, stolen, theft, thief, stole, robbed, 丢,
    丢了, 丢失, 遗失, 不见了, 没了, 被偷, 找不到, 弄丢, 少了
fraud: fraud, fraudulent, scam, hacked, unauthorized, unauthorised, suspicious, compromised, someone else,
    without permission, recognise, recognize, 诈骗, 盗刷, 骗子, 被骗, 可疑, 冒充, 盗用
card: card, visa, mastercard, debit card, credit card, plastic, 卡, 银行卡, 信用卡, 卡片, 储蓄卡
virtual: virtual, disposable, digital, temporary, one time, 虚拟, 电子
physical: physical, plastic, actual, real, 实体
atm: atm, cash machine, cashpoint, machine, teller, 取款机, 自动取款
cash: cash, withdraw, withdrawal, withdrew, withdrawing, take out, money out, 取现, 取钱, 现金, 提现, 取款
topup: topup, top up, topping up, topped up, recharge, load, add money, add fund, reload, deposit, fund, 充值, 充钱,
    存钱, 续费
transfer: transfer, transferred, send money, sent money, wire, move money, remit, swift, sepa, bank transfer, 转账,
    汇款, 转钱, 打款, 转给
receive_money: salary, income, wage, paycheck, receive money, get paid, 工资, 收款, 入账
beneficiary: beneficiary, recipient, payee, friend, receiver, 收款人, 对方, 朋友
direct_debit: direct debit, standing order, subscription, recurring, 自动扣款, 代扣, 订阅
account: account, profile, membership, 账户, 账号, 帐号, 帐户, 会员, 户头
bank: bank, banking, branch, 银行, 网银
balance: balance, amount, remaining, left, fund, 余额, 剩余, 还剩, 还有多少
pending: pending, processing, hold, progress, waiting, complete, completed, 处理中, 待处理, 审核, 进行中, 还在处理
declined: declined, decline, rejected, reject, refused, refuse, denied, deny, unsuccessful, bounced, 被拒, 拒绝,
    不通过, 驳回
fail: fail, failed, failure, failing, error, problem, issue, wrong, went wrong, not work, trouble, glitch, bug,
    失败, 出错, 报错, 错误, 异常, 不成功, 没成功, 有问题, 不行, 故障
not_working: not work, broken, broke, break, faulty, defective, damaged, dead, malfunction, stopped working,
    unusable, cracked, crack, smashed, 坏, 坏了, 不工作, 不能用, 用不了, 故障, 失灵, 没反应, 破了, 碎了, 裂了, 损坏,
    破损, 瑕疵, 质量问题, 不转
cannot: can not, unable, could not, not able, not let, impossible, will not, 不能, 无法, 没法, 不了, 不可以, 用不了,
    不让
not: not, never, no, none, nothing, without, 没, 没有, 不, 未, 别
repair: repair, fix, mend, service, technician, maintenance, repaired, fixed, 维修, 修理, 修, 报修, 保修, 修一下,
    检修, 修好, 售后
warranty: warranty, guarantee, covered, cover, guaranteed, 保修, 质保, 保修期, 三包, 在保, 过保
invoice: invoice, receipt, bill, fapiao, tax, vat, statement, slip, 发票, 收据, 开票, 票据, 专票, 普票, 抬头, 税号,
    小票, 凭证
company: company, business, corporate, firm, office, 公司, 单位, 企业, 办公室
discount: discount, promotion, promo, offer, sale, deal, coupon, voucher, cheaper, off, special, bargain, 优惠,
    打折, 折扣, 促销, 活动, 便宜, 减免, 满减, 特价, 降价
coupon: coupon, voucher, promo code, discount code, code, 优惠券, 券, 优惠码, 折扣码, 代金券, 兑换码, 折扣券
points: points, point, rewards, loyalty, reward, bonus, 积分, 分数, 奖励, 点数
member: member, membership, vip, tier, level, 会员, 等级, 级别, 贵宾
expire: expire, expiry, expired, expiration, valid, validity, run out, 过期, 有效期, 到期, 失效, 作废, 清零
gift: gift, present, giftcard, gift card, 礼品, 礼物, 送人, 礼品卡, 购物卡, 储值卡, 送礼, 礼盒
open: open, opening, hours, close, closed, closing, business hour, 营业, 开门, 关门, 几点, 营业时间, 上班, 打烊,
    开店
holiday: holiday, weekend, sunday, saturday, christmas, festival, easter, bank holiday, 节假日, 放假, 周末, 春节,
    国庆, 假期, 星期天, 周六, 周日, 过年, 节日, 元旦, 五一
store: store, shop, branch, showroom, outlet, 门店, 店铺, 实体店, 店里, 分店, 店, 商店
parking: park, parking, car, drive, 停车, 车位, 开车, 停车场, 车库
stock: stock, available, availability, in stock, sold out, out of stock, have any, 有货, 现货, 库存, 缺货, 还有吗,
    断货, 没货, 补货
complain: complain, complaint, unhappy, dissatisfied, disappointed, terrible, awful, unacceptable, ridiculous,
    disgusting, worst, horrible, angry, furious, poor, 投诉, 不满, 差评, 生气, 太差, 差劲, 恶劣, 失望, 举报, 太过分,
    垃圾, 气死, 无语
rude: rude, attitude, impolite, disrespectful, ignored, unprofessional, 态度, 粗鲁, 没礼貌, 不耐烦, 爱理不理
staff: staff, employee, assistant, cashier, clerk, worker, saleswoman, salesman, 店员, 员工, 工作人员, 导购, 收银,
    师傅, 服务员, 快递员
human: human, person, agent, representative, operator, real person, someone, somebody, advisor, adviser, talk to,
    speak to, speak with, talk with, 人工, 客服, 真人, 转人工, 专员, 坐席
robot: robot, bot, machine, ai, chatbot, automated, computer, 机器人, 人工智能, 自动回复, 智能
call: call, phone, ring, telephone, contact, reach, call back, callback, 电话, 打电话, 回电, 联系, 致电, 来电, 拨打
hello: hello, hi, hey, morning, afternoon, evening, greetings, 你好, 您好, 嗨, 早上好, 下午好, 晚上好, 在吗
bye: bye, goodbye, farewell, see you, later, 再见, 拜拜, 回见, 晚安
thanks: thanks, thank, thank you, appreciate, grateful, cheers, thx, 谢谢, 感谢, 多谢, 辛苦, 谢了
yes: yes, yeah, yep, sure, right, correct, ok, okay, exactly, indeed, fine, 是的, 对, 好的, 可以, 没错, 行, 嗯,
    正确, 好, 对的
praise: great, excellent, wonderful, amazing, awesome, fantastic, love, perfect, friendly, helpful, best, brilliant,
    pleased, happy, 很棒, 很好, 满意, 赞, 好评, 喜欢, 热情, 耐心, 点赞, 表扬, 太好了, 贴心
suggest: suggest, suggestion, recommend you, idea, feedback, improve, should, wish, hope, better if, 建议, 希望,
    改进, 提个, 意见, 最好能, 要是能
advice: recommend, which, choose, suit, suitable, difference, compare, better, best, advice, pick, 推荐, 哪个, 哪款,
    选, 适合, 区别, 挑, 怎么选, 选哪, 比较
howto: how, use, set up, setup, install, instructions, manual, clean, wash, 怎么, 如何, 使用, 说明书, 安装, 清洗,
    清洁, 怎样, 操作, 教程, 咋
delete: delete, remove, close, erase, deactivate, terminate, get rid, 删除, 注销, 销户, 清除, 删掉, 关闭
data: data, privacy, personal, information, details, 数据, 隐私, 个人信息, 资料, 信息
name: name, surname, maiden, married, 名字, 姓名, 昵称
number: number, phone number, mobile, cell, telephone, 号码, 手机号, 手机, 电话号码
subscribe: subscribe, newsletter, notify, notification, news, sign up, mailing, 订阅, 通知, 推送, 资讯, 新品
unsubscribe: unsubscribe, opt out, stop sending, spam, no more, 退订, 别发, 不要发, 骚扰, 取消订阅, 别再, 拉黑
twice: twice, double, duplicate, two times, again, same, multiple, repeated, second time, extra, 重复, 两次, 两遍,
    多次, 再次, 双倍, 多扣
wrong: wrong, incorrect, mistake, error, mistaken, inaccurate, not right, accident, accidentally, 错, 错了, 不对,
    弄错, 发错, 写错, 填错, 有误, 搞错
size: size, big, small, large, bigger, smaller, dimension, width, length, fit, 尺寸, 大小, 尺码, 多大, 规格, 宽, 长,
    高
colour: colour, color, white, black, grey, gray, red, blue, green, 颜色, 白色, 黑色, 灰色, 红色, 蓝色, 绿色, 色差
abroad: abroad, overseas, foreign, international, country, countries, travel, travelling, traveling, holiday,
    europe, eu, usa, uk, us, america, 国外, 海外, 出国, 国际, 境外, 国家, 旅游
child: child, children, kid, son, daughter, age, old, young, year old, minor, teenager, 孩子, 小孩, 儿童, 年龄,
    宝宝, 未成年
limit: limit, maximum, minimum, max, restriction, restricted, cap, most, least, 限额, 上限, 最多, 最少, 限制, 起送,
    门槛
security: secure, security, safe, safety, protect, 安全, 保护, 隐患, 保障
contactless: contactless, tap, nfc, touch, 闪付, 感应
mobile_pay: apple, google, apple pay, google pay, samsung, wallet, alipay, wechat, 支付宝, 微信, 微信支付, 花呗,
    钱包
cheque: cheque, check, 支票
app: app, application, website, site, online, web, page, 软件, 网站, 网页, 官网, 小程序, 网上, 线上, 页面
activate: activate, activated, activation, enable, start using, turn on, set up, 激活, 启用, 开通
link: link, linking, connect, connected, bind, add, pair, 绑定, 关联, 链接, 连接
split: split, separate, separately, part, partial, together, half, 分开, 分批, 部分, 拆开, 一起
pickup: pick up, pickup, collect, collection, click and, 自提, 自取, 取货, 上门取
door: door, doorstep, home, upstairs, stairs, floor, 上门, 门口, 楼上, 楼梯, 送上楼, 家门
install: install, installation, assemble, assembly, fit, mount, 安装, 组装, 装上, 拼装
old_item: old, used, recycle, recycling, trade in, dispose, 旧, 旧的, 以旧换新, 回收
noise: noise, noisy, loud, sound, buzzing, 噪音, 声音, 响, 吵, 异响
smell: smell, odour, odor, stink, smelly, 味道, 异味, 气味, 臭
battery: battery, charge, power, charging, 电池, 充电, 没电, 续航, 电量
water: water, leak, leaking, wet, 水, 漏水, 漏, 渗水
clean: clean, cleaning, wash, washing, descale, scale, dirt, dirty, stain, 清洗, 清洁, 洗, 水垢, 污渍, 除垢, 脏
part: part, parts, spare, accessory, accessories, screw, lid, filter, 零件, 配件, 螺丝, 滤芯, 滤网, 盖子, 少件
student: student, college, university, school, 学生, 大学, 学校
bulk: bulk, wholesale, quantity, group, many, large order, 批发, 团购, 批量, 大量, 采购
birthday: birthday, 生日
reserve: book, booking, appointment, schedule, reserve, slot, arrange, 预约, 预定, 预订, 约, 安排, 约时间
time_of_day: morning, afternoon, evening, night, tonight, noon, 早上, 上午, 下午, 晚上, 傍晚, 夜里, 中午, 今晚
missing_part: missing, incomplete, without, left out, forgot include, 少了, 缺少, 漏发, 少发, 缺件, 没有收到
save: protection, protect, difference, price drop, match, 保价, 差价, 价保, 补差
"""


def _read(entries: str) -> dict[str, tuple[str, ...]]:
    table: dict[str, list[str]] = {}
    for line in entries.replace("\n   ", "").strip().splitlines():
        name, _, listed = line.partition(":")
        for entry in listed.split(","):
            names = table.setdefault(" ".join(stem(word) for word in entry.split()), [])
            if name not in names:
                names.append(name)
    return {key: tuple(names) for key, names in table.items()}


_TABLE = _read(_ENTRIES)
_NUMBERS = {name: number for number, name in enumerate(sorted({name for names in _TABLE.values() for name in names}))}
_HASHES = [hash_of(name) for name in _NUMBERS]
_KEYS = [packed_keys([hashed], CONCEPTS) for hashed in _HASHES]
_LONGEST_PIECE, _MAX_PAIRED = 3, 16

Concepts = tuple[int, ...]  # their numbers, which are in the order of their names


def _named(entries: Iterable[str]) -> dict[str, Concepts]:
    return {entry: tuple(_NUMBERS[name] for name in _TABLE[entry]) for entry in entries}


_BY_WORD = _named(entry for entry in _TABLE if " " not in entry)
_BY_PAIR = {
    tuple(map(hash_of, entry.split())): named
    for entry, named in _named(entry for entry in _TABLE if entry.count(" ") == 1).items()
}
_BY_FIRST: dict[str, list[tuple[str, Concepts]]] = {}
for _entry, _concepts in _BY_WORD.items():
    if _entry[0] > "\u3400" and len(_entry) <= _LONGEST_PIECE:
        _BY_FIRST.setdefault(_entry[0], []).append((_entry, _concepts))


def concepts_of_words(stems: Iterable[str]) -> Concepts:
    """What single words name, with repeats."""
    return tuple(itertools.chain.from_iterable(_BY_WORD.get(word, ()) for word in stems))


def concepts_of_pairs(stems: Sequence[int]) -> Iterator[int]:
    """What neighbouring words name together, with repeats; `stems` are hashes."""
    for pair in itertools.pairwise(stems):
        if pair in _BY_PAIR:
            yield from _BY_PAIR[pair]


def concepts_inside(word: str) -> Concepts:
    """What one to three characters of a Chinese word or run name, wherever they stand in it."""
    return tuple(
        concept
        for place, char in enumerate(word)
        if char in _BY_FIRST
        for entry, named in _BY_FIRST[char]
        if word.startswith(entry, place)
        for concept in named
    )


def concept_keys(said: list[int], shown: list[int]) -> list[bytes]:
    """The keys of a text's concepts and of their pairs: `said` by words, `shown` by Chinese characters.

    With repeats for words; each once where characters overlap words.
    """
    if shown:
        said = list(dict.fromkeys(said + shown))
    named = sorted(set(said))[:_MAX_PAIRED]
    return [_KEYS[concept] for concept in said] + list(map(_key_of_pair, itertools.combinations(named, 2)))


@functools.cache  # as many as there are pairs of concepts
def _key_of_pair(pair: tuple[int, int]) -> bytes:
    first, second = (np.asarray([_HASHES[concept]], dtype=np.uint64) for concept in pair)
    return keys_of(hashes_of_pairs(first, second), CONCEPTS).tobytes()
